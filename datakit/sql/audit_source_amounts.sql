-- What is drawn as a histogram of each source. Kept as the temporary table `amounts`.
-- Reads audit_responses. No parameters. Gives what, model, amount; lengths as their logarithm, because they spread that way.
SELECT 'score' AS what, model, score AS amount
FROM audit_responses
WHERE isfinite(score)
UNION ALL
SELECT 'chars', model, ln(greatest(n_chars, 1))
FROM audit_responses
