-- The id of the run that may be meant by one that the run does not have: a partial or misspelt id, or an id of the other kind.
-- Reads prompts, responses.
--   $field  the field of the unknown id: prompt_id; any other field holds a response's id
--   $id     the unknown id
-- Returns field (prompt_id, response_id) and id, at most one row.
WITH ids AS (
    SELECT 'prompt_id' AS field, prompt_id AS id FROM prompts
    UNION ALL
    SELECT 'response_id' AS field, response_id AS id FROM responses
)

SELECT field, id
FROM ids
WHERE jaro_winkler_similarity(id, $id) > 0.85 OR length($id) > 3 AND starts_with(id, $id)
ORDER BY starts_with(id, $id) DESC, jaro_winkler_similarity(id, $id) DESC, (field = 'prompt_id') = ($field = 'prompt_id') DESC, id
LIMIT 1
