-- The state of every judgement wanted from one judge.
-- Reads wanted_judgements, judgements, failures.
--   $judge       the judge's name
--   $unreadable  the errors that mean that the judge answered without a verdict
-- Returns first_id, second_id, value, verdict and `state`: judged, no_verdict, failed or missing.
WITH failed AS (
    SELECT f.key, arg_max(f.error, f.at) AS error
    FROM failures AS f
    WHERE f.stage = 'judge' AND f.source = $judge
    GROUP BY f.key
)

SELECT
    w.first_id,
    w.second_id,
    j.value,
    j.verdict,
    CASE
        WHEN j.judgement_id IS NOT NULL THEN 'judged'
        WHEN f.key IS NULL THEN 'missing'
        WHEN list_contains($unreadable, f.error) THEN 'no_verdict'
        ELSE 'failed'
    END AS state
FROM wanted_judgements AS w
LEFT JOIN judgements AS j ON w.judgement_id = j.judgement_id
LEFT JOIN failed AS f ON w.judgement_id = f.key
ORDER BY w.first_id, w.second_id
