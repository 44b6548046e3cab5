-- The prompts that are not dropped, numbered in the order of their ids.
-- Reads prompts. No parameters.
-- Returns prompt_no, prompt_id, messages_digest, reference_digest, category, source, shares_messages, and `contested`: other
-- prompts (even dropped ones) have these messages, too, so that only its id says to which of them an imported response belongs.
WITH numbered AS (
    SELECT *, dense_rank() OVER (ORDER BY prompt_id) AS prompt_no
    FROM prompts
),

repeated AS (
    SELECT messages_digest
    FROM prompts
    GROUP BY messages_digest
    HAVING count(*) > 1
)

SELECT
    n.prompt_no::UINTEGER AS prompt_no,
    n.prompt_id,
    n.messages_digest,
    n.reference_digest,
    n.category,
    n.source,
    n.shares_messages,
    coalesce(n.shares_messages, FALSE) OR r.messages_digest IS NOT NULL AS contested
FROM numbered AS n
LEFT JOIN repeated AS r ON n.messages_digest = r.messages_digest
WHERE n.dropped IS NULL
