-- The messages of a few prompts.
-- Reads prompts.
--   $ids  their prompt_ids
-- Gives prompt_id, messages.
SELECT prompt_id, messages
FROM prompts
WHERE list_contains($ids::VARCHAR [], prompt_id)
ORDER BY prompt_id
