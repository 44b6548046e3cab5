"""datakit builds and audits preference datasets: sample, verify, score, select, export. Start reading at stages.py."""
