-- Every judge on every answer. Kept as the temporary table `judged`.
-- Reads answers, scores.
--   $judges  the judges that the recipe wants
-- Gives one row a response with an answer and judge, scored or not: judge, prompt_id, model, response_id, n_chars, outcome, repeated (a text that
-- the same model gave to the same prompt before), score (NULL where there is none), finite, cut (tokens were left out).
WITH wanted AS (
    SELECT unnest($judges::VARCHAR []) AS judge
)

SELECT DISTINCT
    w.judge,
    a.prompt_id,
    a.model,
    a.response_id,
    a.n_chars,
    a.outcome,
    a.repeated,
    s.score,
    coalesce(isfinite(s.score), FALSE) AS finite,
    coalesce(s.n_tokens_cut > 0, FALSE) AS cut
FROM answers AS a
CROSS JOIN wanted AS w
LEFT JOIN scores AS s ON a.response_id = s.response_id AND w.judge = s.judge
WHERE a.text_hash IS NOT NULL
