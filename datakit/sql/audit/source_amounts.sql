-- What is drawn as a histogram of each source. Kept as the temporary table `amounts`.
-- Reads answers. No parameters. Gives what, model, amount; lengths as their logarithm, because they spread that way.
SELECT 'score' AS what, model, score AS amount
FROM answers
WHERE isfinite(score)
UNION ALL
SELECT 'chars', model, ln(greatest(n_chars, 1))
FROM answers
WHERE n_chars IS NOT NULL
