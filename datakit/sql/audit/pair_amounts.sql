-- What is drawn as a histogram of the pairs. Kept as the temporary table `amounts`.
-- Reads audit_pairs. No parameters. Gives what, model (NULL: all together), amount.
SELECT 'margin' AS what, NULL::VARCHAR AS model, margin AS amount
FROM audit_pairs
WHERE isfinite(margin)
UNION ALL
SELECT 'log_length_ratio', NULL, log_length_ratio
FROM audit_pairs
WHERE isfinite(log_length_ratio)
