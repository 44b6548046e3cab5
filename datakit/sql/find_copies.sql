-- Sources that give copies for samples, for at least half of the prompts, though a temperature above 0 was asked for: all
-- samples of a prompt are one text (a server that decodes greedily), or all choices of each request are (one that copies).
-- Reads current_responses. No parameters. Gives model, n_prompts (with two samples or more), n_copies.
-- The choices of one request share its seed.
WITH per_request AS (
    SELECT model, prompt_id, count(*) AS n, count(DISTINCT md5(text)) AS n_texts, min(md5(text)) AS first_text
    FROM current_responses
    WHERE sampling <> 'imported' AND coalesce(json_extract(sampling, '$.temperature')::DOUBLE, 1) > 0
    GROUP BY model, prompt_id, seed
),

per_prompt AS (
    SELECT
        model,
        prompt_id,
        bool_and(n_texts = 1) AND (max(n) > 1 OR count(DISTINCT first_text) = 1) AS copied
    FROM per_request
    GROUP BY model, prompt_id
    HAVING sum(n) > 1
)

SELECT model, count(*) AS n_prompts, count(*) FILTER (copied) AS n_copies
FROM per_prompt
GROUP BY model
HAVING n_prompts > 1 AND n_copies >= 0.5 * n_prompts
ORDER BY model
