-- Approximate lengths of prompts and answers, for what judges will read.
-- Reads rough_tokens, current_responses. No parameters.
-- Returns one row: prompt (mean tokens per prompt) and answer (mean tokens per answer, at 4 characters per token); null if
-- there are none.
SELECT
    (SELECT avg(tokens) FROM rough_tokens WHERE sampling IS NULL) AS prompt,
    (SELECT avg(n_chars) / 4 FROM current_responses WHERE n_chars IS NOT NULL) AS answer
