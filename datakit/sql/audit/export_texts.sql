-- The example pairs of an export with their texts.
-- Reads examples (examples.sql), exported. No parameters. Returns the columns of example_texts.sql.
SELECT
    e.* EXCLUDE (place),
    x.prompt,
    x.chosen[-1].content AS chosen,
    x.rejected[-1].content AS rejected
FROM examples AS e
INNER JOIN exported AS x ON e.chosen_id = x.chosen_id AND e.rejected_id = x.rejected_id AND e.prompt_id = x.prompt_id
ORDER BY e.place
