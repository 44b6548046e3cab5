-- How many samples the recipe wants from each of its endpoints and servers, how many of them exist, and how many are still to
-- be asked for.
-- Reads asked_prompts, sources, responses, failures.
--   $retry_failures  also ask again for what failed permanently
-- Returns one row per source: model, revision, sampling, n_wanted, n_there, n_missing.
WITH wanted AS (
    SELECT
        s.model,
        s.revision,
        s.sampling,
        make_response_id(p.messages_digest, s.model, s.revision, s.sampling, i.sample_index) AS response_id
    FROM asked_prompts AS p
    CROSS JOIN sources AS s
    CROSS JOIN LATERAL (SELECT unnest(range(s.n)) AS sample_index) AS i
    WHERE s.type <> 'responses' AND is_asked(s.asks, p.category, p.source)
)

SELECT
    w.model,
    w.revision,
    w.sampling,
    count(*) AS n_wanted,
    count(r.response_id) AS n_there,
    count(*) FILTER (r.response_id IS NULL AND f.key IS NULL) AS n_missing
FROM wanted AS w
LEFT JOIN responses AS r ON w.response_id = r.response_id
LEFT JOIN (SELECT DISTINCT key FROM failures WHERE stage = 'sample' AND permanent AND NOT $retry_failures) AS f
    ON w.response_id = f.key
GROUP BY w.model, w.revision, w.sampling
