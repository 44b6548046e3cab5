-- The tokens that the stored samples of each source took, including samples that the recipe no longer wants.
-- Reads sources, prompts, responses. No parameters. Imported responses cost nothing and are left out.
-- Returns one row per sampled (model, revision, sampling): n_wanted (null if the recipe does not ask for it), n_responses,
-- n_there (those of prompts that are in the dataset, at most as many of each as are wanted), n_requests, n_uncounted (responses
-- without a token count from the server), prompt_tokens, completion_tokens. Each response of a request (views/request_of) has the
-- whole request's n_prompt_tokens. Both are grouped by hashes of 64 bits: with strings, millions of groups would take gigabytes.
WITH requests AS (
    SELECT
        hash(r.model, r.revision, r.sampling) AS source_key,
        count(*) AS n_responses,
        count(*) FILTER (WHERE r.sample_index < s.n AND (r.messages_digest IS NULL OR p.asked IS NOT NULL)) AS n_there,
        count(*) FILTER (WHERE r.n_tokens IS NULL OR r.n_prompt_tokens IS NULL) AS n_uncounted,
        max(r.n_prompt_tokens) AS prompt_tokens,
        sum(r.n_tokens) AS completion_tokens
    FROM responses AS r
    LEFT JOIN sources AS s
        ON r.model = s.model AND r.revision IS NOT DISTINCT FROM s.revision AND r.sampling = s.sampling AND s.type <> 'responses'
    LEFT JOIN (SELECT DISTINCT hash(messages_digest) AS asked FROM prompts WHERE dropped IS NULL) AS p
        ON hash(r.messages_digest) = p.asked
    WHERE r.sampling <> 'imported'
    GROUP BY source_key, hash(r.prompt_id, request_of(r.seed, r.latency_s, r.response_id))
),

given AS (
    SELECT
        source_key,
        sum(n_responses) AS n_responses,
        sum(n_there) AS n_there,
        count(*) AS n_requests,
        sum(n_uncounted) AS n_uncounted,
        sum(prompt_tokens) AS prompt_tokens,
        sum(completion_tokens) AS completion_tokens
    FROM requests
    GROUP BY source_key
),

named AS (
    SELECT DISTINCT hash(model, revision, sampling) AS source_key, model, revision, sampling
    FROM responses
    WHERE sampling <> 'imported'
),

asked AS (
    SELECT
        hash(model, revision, sampling) AS source_key,
        model,
        revision,
        sampling,
        n * (
            SELECT count(DISTINCT p.messages_digest)
            FROM prompts AS p
            WHERE p.dropped IS NULL AND is_asked(s.asks, p.category, p.source)
        ) AS n_wanted
    FROM sources AS s
    WHERE type <> 'responses'
)

SELECT
    coalesce(a.model, n.model) AS model,
    coalesce(a.revision, n.revision) AS revision,
    coalesce(a.sampling, n.sampling) AS sampling,
    a.n_wanted,
    coalesce(g.n_responses, 0)::BIGINT AS n_responses,
    coalesce(g.n_there, 0)::BIGINT AS n_there,
    coalesce(g.n_requests, 0)::BIGINT AS n_requests,
    coalesce(g.n_uncounted, 0)::BIGINT AS n_uncounted,
    coalesce(g.prompt_tokens, 0)::BIGINT AS prompt_tokens,
    coalesce(g.completion_tokens, 0)::BIGINT AS completion_tokens
FROM asked AS a
FULL JOIN named AS n ON a.source_key = n.source_key
LEFT JOIN given AS g ON coalesce(a.source_key, n.source_key) = g.source_key
ORDER BY model, a.n_wanted IS NULL, revision, sampling
