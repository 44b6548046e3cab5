-- The prompts that models are asked: those that are not dropped; of several with the same messages the first by id.
-- Reads prompts. No parameters. Returns prompt_id, messages, messages_digest, category, source, in the order of the table.
WITH repeated AS (
    SELECT messages_digest, min(prompt_id) AS first_id
    FROM prompts
    WHERE dropped IS NULL
    GROUP BY messages_digest
    HAVING count(*) > 1
)

SELECT p.prompt_id, p.messages, p.messages_digest, p.category, p.source
FROM prompts AS p
LEFT JOIN repeated AS r ON p.messages_digest = r.messages_digest
WHERE p.dropped IS NULL AND (r.first_id IS NULL OR p.prompt_id = r.first_id)
