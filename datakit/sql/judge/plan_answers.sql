-- The answers that judges will see once everything is sampled, for a plan. Kept as the temporary table `judged_answers`.
-- Reads wanted_responses, prompts, responses. No parameters.
-- Returns the columns of find_answers.sql; text_hash is NULL.
SELECT
    w.prompt_id,
    w.response_id,
    w.model,
    w.revision,
    w.sampling,
    w.sample_index,
    p.reference_digest,
    NULL::UBIGINT AS text_hash
FROM wanted_responses AS w
INNER JOIN prompts AS p ON w.prompt_id = p.prompt_id
LEFT JOIN responses AS r ON w.response_id = r.response_id
WHERE if(r.response_id IS NULL, w.source_type <> 'responses', r.text IS NOT NULL)
