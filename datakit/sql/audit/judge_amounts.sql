-- The scores that are drawn as histograms, per judge and source. Kept as the temporary table `amounts`.
-- Reads judged (judged.sql). No parameters. Returns what (the judge's number), model_no, amount.
SELECT judge_no AS what, model_no, score AS amount
FROM judged
WHERE finite
