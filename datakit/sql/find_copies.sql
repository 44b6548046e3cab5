-- Sources whose samples of a prompt are all one text, for at least half of the prompts, though a temperature above 0 was
-- asked for: a server that decodes greedily.
-- Reads current_responses. No parameters. Gives model, n_prompts (with two samples or more), n_copies.
WITH per_prompt AS (
    SELECT model, prompt_id, count(DISTINCT md5(text)) AS n_texts
    FROM current_responses
    WHERE sampling <> 'imported' AND coalesce(json_extract(sampling, '$.temperature')::DOUBLE, 1) > 0
    GROUP BY model, prompt_id
    HAVING count(*) > 1
)

SELECT model, count(*) AS n_prompts, count(*) FILTER (n_texts = 1) AS n_copies
FROM per_prompt
GROUP BY model
HAVING n_prompts > 1 AND n_copies >= 0.5 * n_prompts
ORDER BY model
