-- How much each source contributes to what each step keeps.
-- Reads answers, matched (the candidates before any rule about margins or lengths), numbered_sources, pairs, demos, responses.
-- No parameters.
-- Returns step (responses, right, candidates, pairs, demos, in this order), model (for pairs and candidates that of the chosen
-- answer), count. `right` may be chosen; if nothing is verified these are all scored answers that may be used.
WITH models AS (
    SELECT DISTINCT model_no, model FROM numbered_sources
),

counted AS (
    SELECT 1 AS place, 'responses' AS step, model_no, count(*) AS n FROM answers GROUP BY model_no
    UNION ALL
    SELECT 2, 'right', model_no, count(*) FROM answers WHERE is_right GROUP BY model_no
    UNION ALL
    SELECT 3, 'candidates', chosen.model_no, count(*) FROM matched WHERE lost IS NULL GROUP BY chosen.model_no
),

steps AS (
    SELECT c.place, c.step, m.model, c.n
    FROM counted AS c
    INNER JOIN models AS m ON c.model_no = m.model_no
    UNION ALL
    SELECT 4, 'pairs', model, count(*) FROM pairs GROUP BY model
    UNION ALL
    SELECT 5, 'demos', r.model, count(*)
    FROM demos AS d
    INNER JOIN responses AS r ON d.response_id = r.response_id
    GROUP BY r.model
)

SELECT step, model, n AS count
FROM steps
ORDER BY place, model
