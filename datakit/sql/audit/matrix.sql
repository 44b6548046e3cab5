-- How many pairs each two models form, by side.
-- Reads pairs. No parameters. Returns model (of the chosen answer), rejected_model, pairs.
SELECT model, rejected_model, count(*) AS pairs
FROM pairs
GROUP BY model, rejected_model
ORDER BY model, rejected_model
