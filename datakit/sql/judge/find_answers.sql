-- The answers that judges see: current responses with an answer. Kept as the temporary table `judged_answers`.
-- Reads current_responses. No parameters.
-- Returns prompt_id, response_id, model, revision, sampling, sample_index, reference_digest, text_hash.
SELECT prompt_id, response_id, model, revision, sampling, sample_index, reference_digest, text_hash
FROM current_responses
WHERE text IS NOT NULL
