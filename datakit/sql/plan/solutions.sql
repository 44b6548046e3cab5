-- Numbers of the prompts and of their own solutions, before texts are selected.
-- Reads prompts, rough_tokens. No parameters.
-- Returns n_prompts that are kept, n_solutions among them, and rough tokens per prompt and per solution (means; 4 characters
-- per token).
SELECT
    count(*) AS n_prompts,
    count(*) FILTER (trim(p.solution) <> '') AS n_solutions,
    coalesce(avg(t.tokens), 0) AS prompt_tokens,
    coalesce(avg(length(p.solution) / 4) FILTER (trim(p.solution) <> ''), 0) AS solution_tokens
FROM prompts AS p
LEFT JOIN rough_tokens AS t ON p.prompt_id = t.prompt_id
WHERE p.dropped IS NULL
