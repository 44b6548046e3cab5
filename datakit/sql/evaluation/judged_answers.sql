-- How every answer wanted from the models under test ended, for benchmarks that a judge grades: one row per prompt, model and
-- sample.
-- Reads wanted_responses, current_responses, current_failures, prompts. No parameters.
-- Returns prompt_id, model, revision, sample_index, response_id, category, n_chars and `ending`: judged (there is an answer to
-- judge); cut_off (there is an answer, but it broke off); no_answer (a thought without an answer); failed; missing. Only those
-- imported answers that exist are listed.
SELECT
    w.prompt_id,
    w.model,
    w.revision,
    w.sample_index,
    w.response_id,
    p.category,
    r.n_chars,
    CASE
        WHEN r.response_id IS NULL THEN if(f.key IS NULL, 'missing', 'failed')
        WHEN r.text IS NULL THEN 'no_answer'
        WHEN NOT r.complete THEN 'cut_off'
        ELSE 'judged'
    END AS ending
FROM wanted_responses AS w
INNER JOIN prompts AS p ON w.prompt_id = p.prompt_id
LEFT JOIN current_responses AS r ON w.response_id = r.response_id AND w.prompt_id = r.prompt_id
LEFT JOIN current_failures AS f ON w.response_id = f.key AND f.stage = 'sample'
WHERE w.source_type <> 'responses' OR r.response_id IS NOT NULL OR f.key IS NOT NULL
ORDER BY w.prompt_id, w.model, w.revision, w.sample_index
