-- Every judge on every answer. Kept as the temporary table `judged`.
-- Reads answers, scores.
--   $judges  the judges that the recipe wants
-- (response_id, judge) is the key of scores, so nothing is grouped.
-- Returns one row per judge and response with an answer, scored or not: judge_no (its place in $judges), prompt_no, model_no,
-- id, n_chars, outcome, repeated (a text that the same model has given to the same prompt already), score (NULL if there is
-- none), finite, cut (tokens were left out).
WITH given AS (
    SELECT id_number(response_id) AS id, list_position($judges::VARCHAR [], judge) AS judge_no, score, n_tokens_cut > 0 AS cut
    FROM scores
    WHERE list_contains($judges::VARCHAR [], judge)
)

SELECT
    w.judge_no::USMALLINT AS judge_no,
    a.prompt_no,
    a.model_no,
    a.id,
    a.n_chars,
    a.outcome,
    a.repeated,
    g.score,
    coalesce(isfinite(g.score), FALSE) AS finite,
    coalesce(g.cut, FALSE) AS cut
FROM answers AS a
CROSS JOIN (SELECT unnest(range(1, len($judges::VARCHAR []) + 1)) AS judge_no) AS w
LEFT JOIN given AS g ON a.id = g.id AND w.judge_no = g.judge_no
WHERE a.text_hash IS NOT NULL
