-- The example pairs of a run with their texts.
-- Reads examples (examples.sql), prompts, responses. No parameters. Gives one row an example, smallest margin first.
SELECT
    e.* EXCLUDE (place),
    p.messages AS prompt,
    c.text AS chosen,
    r.text AS rejected
FROM examples AS e
LEFT JOIN prompts AS p ON e.prompt_id = p.prompt_id
LEFT JOIN responses AS c ON e.chosen_id = c.response_id
LEFT JOIN responses AS r ON e.rejected_id = r.response_id
ORDER BY e.place
