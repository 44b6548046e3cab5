-- What became of every response that the current recipe wants. Kept as the temporary table `audit_wanted`.
-- Reads wanted_responses, answers, current_failures. No parameters.
-- Gives one row a wanted response and prompt, `state` one of there, failed, pending (a build that was stopped),
-- absent (a hole in imported responses, which nobody will fill).
SELECT
    w.response_id,
    w.prompt_id,
    w.model,
    CASE
        WHEN w.response_id IN (SELECT response_id FROM answers) THEN 'there'
        WHEN w.response_id IN (SELECT key FROM current_failures WHERE stage = 'sample') THEN 'failed'
        WHEN w.source_type = 'responses' THEN 'absent'
        ELSE 'pending'
    END AS state
FROM wanted_responses AS w
