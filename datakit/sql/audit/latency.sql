-- How long the answers of each source took.
-- Reads responses, answers. No parameters.
-- Returns model, n, seconds: the 10th, 25th, 50th, 75th and 90th percentile over the answers whose latency is known.
SELECT r.model, count(*) AS n, quantile_cont(r.latency_s, [0.1, 0.25, 0.5, 0.75, 0.9]) AS seconds
FROM responses AS r
WHERE r.latency_s IS NOT NULL AND id_number(r.response_id) IN (SELECT id FROM answers)
GROUP BY r.model
ORDER BY r.model
