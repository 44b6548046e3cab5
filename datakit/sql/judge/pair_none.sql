-- The questions for a judge that grades single answers. Kept as the temporary table `wanted_judgements`.
-- Reads judged_answers.
--   $judge  the judge's name
-- Returns judgement_id, prompt_id, first_id, second_id (null), reference_digest: one row per judgement; of prompts with the
-- same messages the first counts.
SELECT
    make_judgement_id($judge, response_id, NULL, reference_digest) AS judgement_id,
    min(prompt_id) AS prompt_id,
    response_id AS first_id,
    NULL::VARCHAR AS second_id,
    reference_digest
FROM judged_answers
GROUP BY response_id, reference_digest
