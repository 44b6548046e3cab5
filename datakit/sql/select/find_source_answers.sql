-- The best right answer to each prompt from the sources other than the target (select.target). Kept as the temporary table
-- `source_answers`.
-- Reads valued (value_answers.sql).
--   $target  the target's name; NULL: none, and no rows
-- Returns prompt_no, and answer, a struct (id, model_no, text_hash, score). Ties are broken by id.
SELECT
    prompt_no,
    min({'place': -coalesce(value, '-inf'::DOUBLE), 'id': id, 'model_no': model_no, 'text_hash': text_hash, 'score': score}) AS answer
FROM valued
WHERE may_be_demo AND $target::VARCHAR IS NOT NULL
GROUP BY prompt_no
