-- The verdicts of a few answers, by their ids.
-- Reads verdicts, prompts.
--   $verifier  whose verdicts count
--   $ids       response_ids
--   $prompts   the prompts of these answers
-- Returns response_id, extracted, detail.
SELECT v.response_id, v.extracted, v.detail
FROM verdicts AS v
INNER JOIN prompts AS p ON v.reference_digest = p.reference_digest
WHERE
    v.verifier = $verifier
    AND list_contains($ids::VARCHAR [], v.response_id)
    AND list_contains($prompts::VARCHAR [], p.prompt_id)
