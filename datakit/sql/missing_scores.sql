-- Current responses that the judge has not scored.
-- Reads current_responses, prompts, scores, failures.
--   $judge           the judge's name, with its revision
--   $retry_failures  score again also what failed for good
-- Gives the response and the messages that it answers, in a stable order.
SELECT r.response_id, p.messages, r.text
FROM current_responses AS r
INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
ANTI JOIN scores AS s ON r.response_id = s.response_id AND s.judge = $judge
WHERE
    $retry_failures
    OR r.response_id NOT IN (
        SELECT f.key FROM failures AS f WHERE f.stage = 'score' AND f.source = $judge AND f.permanent
    )
QUALIFY row_number() OVER (PARTITION BY r.response_id ORDER BY r.prompt_id) = 1
ORDER BY r.response_id
