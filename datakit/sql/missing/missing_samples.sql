-- The samples of one source that are missing, for some of the prompts.
-- Reads some_prompts (rows of asked_prompts), responses, failures.
--   $model, $revision, $sampling, $n   the source
--   $retry_failures                    also ask again for what failed permanently
-- Returns one row per prompt with missing samples: prompt_id, messages, messages_digest, and lists of sample_index and
-- response_id, by index.
WITH wanted AS (
    SELECT
        p.prompt_id,
        i.sample_index,
        make_response_id(p.messages_digest, $model, $revision, $sampling, i.sample_index) AS response_id
    FROM some_prompts AS p
    CROSS JOIN (SELECT unnest(range($n)) AS sample_index) AS i
),

missing AS (
    SELECT w.*
    FROM wanted AS w
    ANTI JOIN responses AS r ON w.response_id = r.response_id
    ANTI JOIN (SELECT key FROM failures WHERE stage = 'sample' AND permanent AND NOT $retry_failures) AS f
        ON w.response_id = f.key
)

SELECT
    p.prompt_id,
    p.messages,
    p.messages_digest,
    list(m.sample_index ORDER BY m.sample_index) AS sample_index,
    list(m.response_id ORDER BY m.sample_index) AS response_id
FROM some_prompts AS p
INNER JOIN missing AS m ON p.prompt_id = m.prompt_id
GROUP BY p.prompt_id, p.messages, p.messages_digest
ORDER BY p.prompt_id
