-- The texts of a few answers.
-- Reads responses.
--   $ids  their response_ids
-- Gives response_id, text.
SELECT DISTINCT ON (response_id) response_id, text
FROM responses
WHERE list_contains($ids::VARCHAR [], response_id)
ORDER BY response_id
