-- What is drawn as a histogram of each judge and source. Kept as the temporary table `amounts`.
-- Reads judged (judged.sql). No parameters. Gives what (the judge), model (NULL: all together), amount.
SELECT judge AS what, model, score AS amount
FROM judged
WHERE finite
UNION ALL
SELECT judge, NULL, score
FROM judged
WHERE finite
