-- The example pairs of a run with their texts.
-- Reads examples (examples.sql), prompts, responses. No parameters. Returns one row per example, smallest margin first.
-- The few texts are found by joins, which leave the texts of other rows unread.
WITH shown AS (
    SELECT response_id, any_value(text) AS text
    FROM responses
    WHERE response_id IN (SELECT unnest([chosen_id, rejected_id]) FROM examples)
    GROUP BY response_id
),

asked AS (
    SELECT prompt_id, messages FROM prompts WHERE prompt_id IN (SELECT prompt_id FROM examples)
)

SELECT
    e.* EXCLUDE (place),
    p.messages AS prompt,
    c.text AS chosen,
    r.text AS rejected
FROM examples AS e
LEFT JOIN asked AS p ON e.prompt_id = p.prompt_id
LEFT JOIN shown AS c ON e.chosen_id = c.response_id
LEFT JOIN shown AS r ON e.rejected_id = r.response_id
ORDER BY e.place
