-- What is drawn as a histogram of the pairs. Kept as the temporary table `amounts`.
-- Reads audit_pairs. No parameters. Gives what, model_no (NULL: all together), amount.
SELECT 'margin' AS what, NULL::USMALLINT AS model_no, margin AS amount
FROM audit_pairs
WHERE isfinite(margin)
UNION ALL
SELECT 'log_length_ratio', NULL, log_length_ratio
FROM audit_pairs
WHERE isfinite(log_length_ratio)
