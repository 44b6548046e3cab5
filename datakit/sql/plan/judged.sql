-- How long prompts and answers are, roughly, for what judges will read.
-- Reads rough_tokens, current_responses. No parameters.
-- Gives one row: prompt, the mean tokens of a prompt, and answer, those of an answer (4 characters a token); null without any.
SELECT
    (SELECT avg(tokens) FROM rough_tokens WHERE sampling IS NULL) AS prompt,
    (SELECT avg(n_chars) / 4 FROM current_responses WHERE n_chars IS NOT NULL) AS answer
