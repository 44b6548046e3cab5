-- What is drawn as a histogram of each source. Kept as the temporary table `amounts`.
-- Reads answers. No parameters. Gives what, model_no, amount; lengths as their logarithm, because they spread that way.
SELECT 'score' AS what, model_no, score AS amount
FROM answers
WHERE isfinite(score)
UNION ALL
SELECT 'chars', model_no, ln(greatest(n_chars, 1))
FROM answers
WHERE n_chars IS NOT NULL
