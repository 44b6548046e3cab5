-- The messages of a few prompts.
-- Reads prompts.
--   $ids  their prompt_ids
-- Returns prompt_id, messages.
SELECT prompt_id, messages
FROM prompts
WHERE prompt_id IN (SELECT unnest($ids::VARCHAR []))
ORDER BY prompt_id
