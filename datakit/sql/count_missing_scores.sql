-- How many current responses the judge has not scored.
-- Reads current_responses, scores, failures.
--   $judge           the judge's name, with its revision
--   $retry_failures  count also what failed for good
SELECT count(DISTINCT r.response_id) AS n
FROM current_responses AS r
ANTI JOIN scores AS s ON r.response_id = s.response_id AND s.judge = $judge
WHERE
    $retry_failures
    OR r.response_id NOT IN (
        SELECT f.key FROM failures AS f WHERE f.stage = 'score' AND f.source = $judge AND f.permanent
    )
