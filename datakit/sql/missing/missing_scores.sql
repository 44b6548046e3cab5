-- Conversations of wanted responses that the judge has not scored, each once: responses with the same text to the same messages
-- share one score; a thought without an answer has none. Covers one share of the prompts, so that memory does not grow with the
-- run.
-- Reads wanted_responses, prompts, responses, scores, failures.
--   $judge           the judge's name, with its revision
--   $retry_failures  also score again what failed permanently
--   $share           number of the share, from 0
--   $n_shares        number of shares
-- Returns all response ids of the conversation, the messages, and the text that answers them. Texts are read, never sorted or
-- kept: the result can be streamed.
WITH wanted AS (
    SELECT response_id, min(prompt_id) AS prompt_id, any_value(messages_digest) AS messages_digest
    FROM wanted_responses
    WHERE hash(messages_digest) % $n_shares = $share
    GROUP BY response_id
),

missing AS (
    SELECT w.response_id, w.prompt_id, md5(concat_ws(chr(31), w.messages_digest, r.text)) AS conversation
    FROM responses AS r
    INNER JOIN wanted AS w ON r.response_id = w.response_id
    ANTI JOIN scores AS s ON r.response_id = s.response_id AND s.judge = $judge
    WHERE
        r.text IS NOT NULL
        AND (
            $retry_failures
            OR r.response_id NOT IN (
                SELECT f.key FROM failures AS f WHERE f.stage = 'score' AND f.source = $judge AND f.permanent
            )
        )
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
