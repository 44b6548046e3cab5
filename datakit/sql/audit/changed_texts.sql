-- The texts of a few answers.
-- Reads responses.
--   $ids      their response_ids
--   $prompts  the prompts that they answer; NULL if unknown: the ids of all rows are read then, which takes ten times as long
-- Returns response_id, text. This is a join with the ids rather than a list of them: only a join leaves the other rows' texts
-- unread.
SELECT response_id, any_value(text) AS text
FROM responses
WHERE
    response_id IN (SELECT unnest($ids::VARCHAR []))
    AND ($prompts::VARCHAR [] IS NULL OR prompt_id IN (SELECT unnest($prompts::VARCHAR [])))
GROUP BY response_id
ORDER BY response_id
