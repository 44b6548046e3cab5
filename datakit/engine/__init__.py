"""Worker processes for rows: protocol, local, and worker, the child's side. No import in this door: every worker loads it."""
