-- The first answers of one model, which second questions follow.
-- Reads current_responses, prompts.
--   $model, $revision  the model
-- Returns prompt_id, messages, reference, category, and the answer's text.
SELECT p.prompt_id, p.messages, p.reference, p.category, r.text
FROM current_responses AS r
INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
WHERE r.text IS NOT NULL AND r.sample_index = 0 AND r.model = $model AND r.revision IS NOT DISTINCT FROM $revision
ORDER BY p.prompt_id
