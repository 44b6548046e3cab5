-- What the run's own samples took, from which a plan predicts what more of them will take.
-- Reads responses, rough_tokens. No parameters. Counts that a server did not report are left out.
-- Returns one row per sampled (model, revision, sampling): prompt_tokens of its requests, `rough`, the estimate of rough_tokens
-- for the same prompts (null if there is none to compare), and mean_completion, the tokens per response.
WITH requests AS (
    SELECT
        model,
        revision,
        sampling,
        prompt_id,
        max(n_prompt_tokens) AS prompt_tokens,
        sum(n_tokens) AS completion_tokens,
        count(n_tokens) AS n_counted
    FROM responses
    WHERE sampling <> 'imported'
    GROUP BY model, revision, sampling, prompt_id, request_of(seed, latency_s, response_id)
)

SELECT
    r.model,
    r.revision,
    r.sampling,
    sum(r.prompt_tokens) FILTER (WHERE p.tokens > 0)::BIGINT AS prompt_tokens,
    sum(p.tokens + coalesce(s.tokens, 0)) FILTER (WHERE r.prompt_tokens IS NOT NULL AND p.tokens > 0) AS rough,
    sum(r.completion_tokens) / nullif(sum(r.n_counted), 0) AS mean_completion
FROM requests AS r
LEFT JOIN rough_tokens AS p ON r.prompt_id = p.prompt_id
LEFT JOIN rough_tokens AS s ON r.sampling = s.sampling
GROUP BY r.model, r.revision, r.sampling
