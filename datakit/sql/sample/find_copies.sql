-- Sources that return copies instead of samples for at least half of the prompts, although a temperature above 0 was asked for:
-- all samples of a prompt are one text (a server that decodes greedily), or all choices of each request are (one that copies).
-- Reads current_responses. No parameters. Returns model, n_prompts (with two samples or more), n_copies.
-- Thoughts are compared, too: two of them may well lead to one short answer. Texts are equal if their smallest and largest hash
-- are equal, so no set of them is kept.
WITH per_request AS (
    SELECT model, prompt_id, count(*) AS n, min(hash(reasoning, text)) AS least_hash, max(hash(reasoning, text)) AS most_hash
    FROM current_responses
    WHERE sampling <> 'imported' AND coalesce(json_extract(sampling, '$.temperature')::DOUBLE, 1) > 0
    GROUP BY model, prompt_id, request_of(seed, latency_s, response_id)
),

per_prompt AS (
    SELECT
        model,
        prompt_id,
        bool_and(least_hash = most_hash) AND (max(n) > 1 OR min(least_hash) = max(least_hash)) AS copied
    FROM per_request
    GROUP BY model, prompt_id
    HAVING sum(n) > 1
)

SELECT model, count(*) AS n_prompts, count(*) FILTER (copied) AS n_copies
FROM per_prompt
GROUP BY model
HAVING n_prompts > 1 AND n_copies >= 0.5 * n_prompts
ORDER BY model
