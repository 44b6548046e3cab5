-- What is drawn as a histogram of each judge and source. Kept as the temporary table `amounts`.
-- Reads judged (judged.sql). No parameters. Gives what (the judge's number), model_no, amount.
SELECT judge_no AS what, model_no, score AS amount
FROM judged
WHERE finite
