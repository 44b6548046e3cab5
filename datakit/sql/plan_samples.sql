-- What a build would ask each of its endpoints and servers for.
-- Reads wanted_responses, responses, failures, rough_tokens.
--   $retry_failures  ask again also for what failed for good
-- Gives one row a sampled source: n_wanted, n_there, n_refused (failed for good, not asked again) and n_missing samples,
-- n_prompts that miss some, and rough prompt tokens: `together` with one request a prompt, `singly` with one a sample.
WITH samples AS (
    SELECT
        w.response_id,
        min(w.prompt_id) AS prompt_id,
        w.model,
        w.revision,
        w.sampling,
        w.response_id IN (SELECT response_id FROM responses) AS is_there,
        NOT $retry_failures
        AND w.response_id IN (SELECT f.key FROM failures AS f WHERE f.stage = 'sample' AND f.permanent) AS is_refused
    FROM wanted_responses AS w
    WHERE w.source_type <> 'responses'
    GROUP BY w.response_id, w.model, w.revision, w.sampling
),

asks AS (
    SELECT
        model,
        revision,
        sampling,
        prompt_id,
        count(*) AS n_wanted,
        count(*) FILTER (WHERE is_there) AS n_there,
        count(*) FILTER (WHERE is_refused AND NOT is_there) AS n_refused,
        count(*) FILTER (WHERE NOT is_there AND NOT is_refused) AS n_missing
    FROM samples
    GROUP BY model, revision, sampling, prompt_id
)

SELECT
    a.model,
    a.revision,
    a.sampling,
    sum(a.n_wanted)::BIGINT AS n_wanted,
    sum(a.n_there)::BIGINT AS n_there,
    sum(a.n_refused)::BIGINT AS n_refused,
    sum(a.n_missing)::BIGINT AS n_missing,
    count(*) FILTER (WHERE a.n_missing > 0) AS n_prompts,
    coalesce(sum(p.tokens + coalesce(s.tokens, 0)) FILTER (WHERE a.n_missing > 0), 0) AS together,
    coalesce(sum((p.tokens + coalesce(s.tokens, 0)) * a.n_missing), 0) AS singly
FROM asks AS a
INNER JOIN rough_tokens AS p ON a.prompt_id = p.prompt_id
LEFT JOIN rough_tokens AS s ON a.sampling = s.sampling
GROUP BY a.model, a.revision, a.sampling
