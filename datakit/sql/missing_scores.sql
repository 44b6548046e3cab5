-- Conversations of current responses that the judge has not scored, each once: responses with one text to the same messages
-- have one score.
-- Reads current_responses, prompts, responses, scores, failures.
--   $judge           the judge's name, with its revision
--   $retry_failures  score again also what failed for good
-- Gives all response ids of the conversation, the messages, and the text that answers them. Texts are read, never sorted or
-- kept: the result can be streamed.
WITH missing AS (
    SELECT
        r.response_id,
        min(p.prompt_id) AS prompt_id,
        min(md5(concat_ws(chr(31), p.messages_digest, r.text))) AS conversation
    FROM current_responses AS r
    INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
    ANTI JOIN scores AS s ON r.response_id = s.response_id AND s.judge = $judge
    WHERE
        $retry_failures
        OR r.response_id NOT IN (
            SELECT f.key FROM failures AS f WHERE f.stage = 'score' AND f.source = $judge AND f.permanent
        )
    GROUP BY r.response_id
),

conversations AS (
    SELECT min(response_id) AS response_id, arg_min(prompt_id, response_id) AS prompt_id, list_sort(list(response_id)) AS ids
    FROM missing
    GROUP BY conversation
)

SELECT c.ids AS response_ids, p.messages, r.text
FROM responses AS r
INNER JOIN conversations AS c ON r.response_id = c.response_id
INNER JOIN prompts AS p ON c.prompt_id = p.prompt_id
