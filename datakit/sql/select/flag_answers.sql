-- The answers that are left out, with those that people have excluded: all answers to an excluded prompt, an excluded response
-- itself and its repetitions (the same text, from the same model to the same prompt). Kept as the temporary table `faults`.
-- Reads faults (find_faults.sql), excluded (find_excluded.sql), current_responses. No parameters.
-- Returns prompt_id, response_id, fault.
WITH named AS (
    SELECT prompt_id, model, text_hash
    FROM current_responses
    WHERE response_id IN (SELECT response_id FROM excluded WHERE target = 'response')
),

flagged AS (
    SELECT prompt_id, response_id
    FROM current_responses
    WHERE
        response_id IN (SELECT response_id FROM excluded WHERE target = 'response')
        OR prompt_id IN (SELECT prompt_id FROM excluded WHERE target = 'prompt')
        OR (prompt_id, model, text_hash) IN (SELECT (prompt_id, model, text_hash) FROM named)
)

SELECT prompt_id, response_id, 'flagged' AS fault
FROM flagged
UNION ALL
SELECT prompt_id, response_id, fault
FROM faults
ANTI JOIN flagged USING (prompt_id, response_id)
