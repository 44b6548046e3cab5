-- The values of each source that are drawn as histograms. Kept as the temporary table `amounts`.
-- Reads answers. No parameters. Returns what, model_no, amount; lengths as their logarithm, because they are spread on that
-- scale.
SELECT 'score' AS what, model_no, score AS amount
FROM answers
WHERE isfinite(score)
UNION ALL
SELECT 'chars', model_no, ln(greatest(n_chars, 1))
FROM answers
WHERE n_chars IS NOT NULL
