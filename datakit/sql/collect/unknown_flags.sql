-- The ids that the flags of a file name and that the run does not have now.
-- Reads flagged (the rows of the file), prompts, responses. No parameters.
-- Returns field and id, each once.
SELECT DISTINCT field, id
FROM (UNPIVOT (SELECT prompt_id, response_id, chosen_id, rejected_id FROM flagged) ON COLUMNS (*) INTO NAME field VALUE id)
WHERE if(field = 'prompt_id', id NOT IN (SELECT prompt_id FROM prompts), id NOT IN (SELECT response_id FROM responses))
