-- What a build would ask each of its endpoints and servers for.
-- Reads asked_prompts, sources, responses, failures, rough_tokens.
--   $retry_failures  also ask again for what failed permanently
-- Returns one row per sampled source: n_wanted, n_there, n_refused (failed permanently, not asked again) and n_missing samples,
-- n_prompts with missing samples, and rough prompt tokens: `together` with one request per prompt, `singly` with one per
-- sample.
WITH wanted AS (
    SELECT
        p.prompt_id,
        s.model,
        s.revision,
        s.sampling,
        left(
            sha256(concat_ws(chr(31), p.messages_digest, s.model, coalesce(s.revision, ''), s.sampling, i.sample_index)), 24
        ) AS response_id
    FROM asked_prompts AS p
    CROSS JOIN sources AS s
    CROSS JOIN LATERAL (SELECT unnest(range(s.n)) AS sample_index) AS i
    WHERE s.type <> 'responses' AND is_asked(s.asks, p.category, p.source)
),

asks AS (
    SELECT
        w.model,
        w.revision,
        w.sampling,
        w.prompt_id,
        count(*) AS n_wanted,
        count(r.response_id) AS n_there,
        count(*) FILTER (r.response_id IS NULL AND f.key IS NOT NULL) AS n_refused,
        count(*) FILTER (r.response_id IS NULL AND f.key IS NULL) AS n_missing
    FROM wanted AS w
    LEFT JOIN responses AS r ON w.response_id = r.response_id
    LEFT JOIN (SELECT DISTINCT key FROM failures WHERE stage = 'sample' AND permanent AND NOT $retry_failures) AS f
        ON w.response_id = f.key
    GROUP BY w.model, w.revision, w.sampling, w.prompt_id
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
