-- The values of pairs that are drawn as histograms. Kept as the temporary table `amounts`.
-- Reads audit_pairs. No parameters. Returns what, model_no (NULL: all together), amount.
SELECT 'margin' AS what, NULL::USMALLINT AS model_no, margin AS amount
FROM audit_pairs
WHERE isfinite(margin)
UNION ALL
SELECT 'log_length_ratio', NULL, log_length_ratio
FROM audit_pairs
WHERE isfinite(log_length_ratio)
