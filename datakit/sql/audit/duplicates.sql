-- Texts and prompts that occur more than once.
-- Reads answers, prompts. No parameters.
-- Returns one row: repeated_responses (beyond the first of the same text, prompt and model), shared_responses (texts that
-- several models gave to one prompt), repeated_prompts (ids beyond the first with the same messages), differing_references
-- (messages that occur under several ids with different reference answers). Dropped prompts do not count.
WITH asked AS (
    SELECT count(*) AS n_ids, count(DISTINCT reference_digest) AS n_references
    FROM prompts
    WHERE dropped IS NULL
    GROUP BY messages_digest
    HAVING count(*) > 1
),

shared AS (
    SELECT prompt_no, text_hash
    FROM answers
    WHERE text_hash IS NOT NULL AND NOT repeated
    GROUP BY prompt_no, text_hash
    HAVING count(*) > 1
)

SELECT
    (SELECT count(*) FROM answers WHERE repeated) AS repeated_responses,
    (SELECT count(*) FROM shared) AS shared_responses,
    (SELECT coalesce(sum(n_ids - 1), 0)::BIGINT FROM asked) AS repeated_prompts,
    (SELECT count(*) FROM asked WHERE n_references > 1) AS differing_references
