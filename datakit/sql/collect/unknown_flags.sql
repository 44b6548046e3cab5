-- How many flags of a file name an id that the run does not have now.
-- Reads flagged (the rows of the file), prompts, responses. No parameters.
SELECT count(*)
FROM flagged
WHERE
    prompt_id IS NOT NULL AND prompt_id NOT IN (SELECT prompt_id FROM prompts)
    OR response_id IS NOT NULL AND response_id NOT IN (SELECT response_id FROM responses)
    OR chosen_id IS NOT NULL AND chosen_id NOT IN (SELECT response_id FROM responses)
    OR rejected_id IS NOT NULL AND rejected_id NOT IN (SELECT response_id FROM responses)
