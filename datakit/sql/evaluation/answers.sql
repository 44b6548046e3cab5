-- How every answer wanted from the models under test ended: one row per prompt, model and sample.
-- Reads wanted_responses, current_responses, current_failures, prompts, verdicts.
--   $verifier  the verifier's name, with its version and options
--   $wrong     outcomes that count as wrong
-- Returns prompt_id, model, revision, sample_index, response_id and `ending`: right; wrong; timeout (the program was too slow);
-- no_answer; cut_off (the token limit was reached); cannot_judge; failed (there is no answer, and a failure says why); missing
-- (not asked or not verified yet). Only those imported answers that exist are listed: files have holes.
SELECT
    w.prompt_id,
    w.model,
    w.revision,
    w.sample_index,
    w.response_id,
    CASE
        WHEN r.response_id IS NULL THEN if(f.key IS NULL, 'missing', 'failed')
        WHEN v.outcome IS NULL THEN 'missing'
        WHEN v.outcome = 'passed' THEN 'right'
        WHEN v.outcome <> 'unparseable' AND NOT list_contains($wrong, v.outcome) THEN 'cannot_judge'
        WHEN NOT r.complete THEN 'cut_off'
        WHEN v.outcome = 'unparseable' THEN 'no_answer'
        WHEN v.outcome = 'timeout' THEN 'timeout'
        ELSE 'wrong'
    END AS ending
FROM wanted_responses AS w
INNER JOIN prompts AS p ON w.prompt_id = p.prompt_id
LEFT JOIN current_responses AS r ON w.response_id = r.response_id AND w.prompt_id = r.prompt_id
LEFT JOIN verdicts AS v
    ON w.response_id = v.response_id AND p.reference_digest = v.reference_digest AND v.verifier = $verifier
LEFT JOIN current_failures AS f ON w.response_id = f.key AND f.stage = 'sample'
WHERE w.source_type <> 'responses' OR r.response_id IS NOT NULL OR f.key IS NOT NULL
ORDER BY w.prompt_id, w.model, w.revision, w.sample_index
