-- Judgements as scores of single responses: the share of its comparisons that a response wins (a tie is half a win), or the
-- mean of its grades. Part of the view `scores`, in runs that have judgements.
-- If all answers meet equally often, the order by this share is the order by Bradley-Terry strengths (Ford 1957), but the share
-- stays finite if an answer always wins.
-- Reads judgements, current_responses. No parameters. Only comparisons of two current responses count, and only judgements made
-- with the reference that the response's prompt has now.
-- Returns response_id, judge, score.
WITH present AS (
    SELECT DISTINCT response_id, reference_digest FROM current_responses
),

sides AS (
    SELECT first_id AS response_id, second_id AS other_id, judge, reference_digest, value FROM judgements
    UNION ALL
    SELECT second_id AS response_id, first_id AS other_id, judge, reference_digest, 1 - value AS value
    FROM judgements
    WHERE second_id IS NOT NULL
)

SELECT s.response_id, s.judge, avg(s.value) AS score
FROM sides AS s
SEMI JOIN present AS a ON s.response_id = a.response_id AND s.reference_digest = a.reference_digest
WHERE s.other_id IS NULL OR s.other_id IN (SELECT response_id FROM present)
GROUP BY s.response_id, s.judge
