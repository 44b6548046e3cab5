-- Whose answers stand on which side of the pairs.
-- Reads pairs. No parameters. Gives model (of the chosen answer), rejected_model, pairs.
SELECT model, rejected_model, count(*) AS pairs
FROM pairs
GROUP BY model, rejected_model
ORDER BY model, rejected_model
