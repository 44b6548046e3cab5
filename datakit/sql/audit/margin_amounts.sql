-- The margins that are drawn as histograms. Kept as the temporary table `amounts`.
-- Reads matched (match_answers.sql with one judge). No parameters. Returns what, model_no (of the chosen answer), amount.
SELECT 'margin' AS what, chosen.model_no AS model_no, margin AS amount
FROM matched
WHERE lost IS NULL AND isfinite(margin)
