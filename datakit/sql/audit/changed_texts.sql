-- The texts of a few answers.
-- Reads responses.
--   $ids      their response_ids
--   $prompts  prompts that they were asked for; NULL: any, and so the ids of all rows are read, which takes ten times as long
-- Gives response_id, text. A join with the ids, and no list of them: only so are the other rows' texts not read.
SELECT response_id, any_value(text) AS text
FROM responses
WHERE
    response_id IN (SELECT unnest($ids::VARCHAR []))
    AND ($prompts::VARCHAR [] IS NULL OR prompt_id IN (SELECT unnest($prompts::VARCHAR [])))
GROUP BY response_id
ORDER BY response_id
