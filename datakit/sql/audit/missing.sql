-- The responses that the current recipe wants and that are missing, and why. Kept as the temporary table `audit_missing`.
-- Reads numbered_prompts, numbered_sources, answers, current_failures. No parameters.
-- Returns one row per response and prompt: prompt_no, model_no, response_id, and `state`: failed, pending (the build was
-- stopped), or absent (a hole in imported responses, which nothing will fill). Ids are computed only for what is missing.
WITH wanted AS (
    SELECT p.prompt_no, s.source_no, i.sample_index
    FROM numbered_prompts AS p
    INNER JOIN numbered_sources AS s ON is_asked(s.asks, p.category, p.source)
    CROSS JOIN LATERAL (SELECT unnest(range(s.n)) AS sample_index) AS i
),

missing AS (
    SELECT
        w.prompt_no,
        s.model_no,
        s.type,
        make_response_id(
            p.messages_digest,
            s.model,
            s.revision,
            s.sampling,
            w.sample_index,
            own_id := if(s.type = 'responses' AND p.shares_messages, p.prompt_id, NULL)
        ) AS response_id
    FROM (SELECT * FROM wanted ANTI JOIN answers USING (prompt_no, source_no, sample_index)) AS w
    INNER JOIN numbered_prompts AS p ON w.prompt_no = p.prompt_no
    INNER JOIN numbered_sources AS s ON w.source_no = s.source_no
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
