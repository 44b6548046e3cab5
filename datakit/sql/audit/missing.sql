-- The responses that the current recipe wants and that are not there, and why. Kept as the temporary table `audit_missing`.
-- Reads numbered_prompts, numbered_sources, answers, current_failures. No parameters.
-- Gives one row a response and prompt: prompt_no, model_no, response_id, and `state`, one of failed, pending (a build that was stopped),
-- absent (a hole in imported responses, which nobody will fill). Ids are made only for what is missing.
WITH missing AS (
    SELECT
        p.prompt_no,
        s.model_no,
        s.type,
        make_response_id(
            p.messages_digest,
            s.model,
            s.revision,
            s.sampling,
            i.sample_index,
            own_id := if(s.type = 'responses' AND p.shares_messages, p.prompt_id, NULL)
        ) AS response_id
    FROM numbered_prompts AS p
    CROSS JOIN numbered_sources AS s
    CROSS JOIN LATERAL (SELECT unnest(range(s.n)) AS sample_index) AS i
    ANTI JOIN answers AS a ON p.prompt_no = a.prompt_no AND s.source_no = a.source_no AND i.sample_index = a.sample_index
    WHERE is_asked(s.asks, p.category, p.source)
)

SELECT
    prompt_no,
    model_no,
    response_id,
    CASE
        WHEN response_id IN (SELECT key FROM current_failures WHERE stage = 'sample') THEN 'failed'
        WHEN type = 'responses' THEN 'absent'
        ELSE 'pending'
    END AS state
FROM missing
