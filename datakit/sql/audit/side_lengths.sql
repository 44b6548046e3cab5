-- The lengths of both sides, for the candidates before any rule about margins or lengths and for the pairs.
-- Reads matched, audit_pairs. No parameters.
-- Returns step (candidates, pairs), side (chosen, rejected), n, and chars: the 10th, 25th, 50th, 75th and 90th percentile of
-- characters.
WITH lengths AS (
    SELECT 1 AS place, 'candidates' AS step, 'chosen' AS side, chosen.n_chars AS n_chars FROM matched WHERE lost IS NULL
    UNION ALL
    SELECT 2, 'candidates', 'rejected', rejected.n_chars FROM matched WHERE lost IS NULL
    UNION ALL
    SELECT 3, 'pairs', 'chosen', chosen_chars FROM audit_pairs
    UNION ALL
    SELECT 4, 'pairs', 'rejected', rejected_chars FROM audit_pairs
)

SELECT step, side, count(*) AS n, quantile_cont(n_chars, [0.1, 0.25, 0.5, 0.75, 0.9]) AS chars
FROM lengths
WHERE n_chars IS NOT NULL
GROUP BY place, step, side
ORDER BY place
