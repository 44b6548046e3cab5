-- What a judge of single answers is to be asked. Kept as the temporary table `wanted_judgements`.
-- Reads judged_answers.
--   $judge  the judge's name
-- Gives judgement_id, prompt_id, first_id, second_id (null), reference_digest: one row a judgement, of prompts that ask the same the first.
SELECT
    make_judgement_id($judge, response_id, NULL, reference_digest) AS judgement_id,
    min(prompt_id) AS prompt_id,
    response_id AS first_id,
    NULL::VARCHAR AS second_id,
    reference_digest
FROM judged_answers
GROUP BY response_id, reference_digest
