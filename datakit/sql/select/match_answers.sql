-- The best right and the worst wrong answer of every prompt and source model (or of every prompt): what may become a pair.
-- Kept as the temporary table `matched`.
-- Reads answers (mark_answers.sql).
--   $any_source  a pair may join two source models
--   $verified    answers were verified: without verdicts a pair needs a margin above 0
--   $ranked      scores are mean ranks: margins are rounded to 12 digits, for equal differences of fractions must be equal
-- Gives one row a prompt and source: model, rejected_model, both ids, margin (chosen minus rejected score), log_length_ratio
-- (ln of chosen / rejected characters), length_ratio (longer / shorter), and `lost`: why it can be no pair whatever the rules about
-- margins and lengths, else NULL. Ties are broken by id (ids are hashes), never by position.
WITH chosen AS (
    SELECT prompt_id, if($any_source, '', model) AS side, model, response_id, score, n_chars, text_hash
    FROM answers
    WHERE is_right
    QUALIFY row_number() OVER (PARTITION BY prompt_id, side ORDER BY score DESC NULLS LAST, response_id) = 1
),

rejected AS (
    SELECT prompt_id, if($any_source, '', model) AS side, model, response_id, score, n_chars, text_hash
    FROM answers
    WHERE is_wrong
    QUALIFY row_number() OVER (PARTITION BY prompt_id, side ORDER BY score ASC NULLS LAST, response_id) = 1
),

sides AS (
    SELECT DISTINCT prompt_id, if($any_source, '', model) AS side FROM answers
)

SELECT
    s.prompt_id,
    coalesce(c.model, nullif(s.side, '')) AS model,
    r.model AS rejected_model,
    c.response_id AS chosen_id,
    r.response_id AS rejected_id,
    if($ranked, round(c.score - r.score, 12), c.score - r.score) AS margin,
    ln(greatest(c.n_chars, 1) / greatest(r.n_chars, 1)) AS log_length_ratio,
    greatest(c.n_chars, r.n_chars, 1) / greatest(least(c.n_chars, r.n_chars), 1) AS length_ratio,
    CASE
        WHEN c.response_id IS NULL AND r.response_id IS NULL THEN 'nothing to judge by'
        WHEN c.response_id IS NULL THEN 'no right answer'
        WHEN r.response_id IS NULL THEN 'no wrong answer'
        WHEN c.text_hash = r.text_hash THEN 'same text'
        WHEN NOT $verified AND coalesce(margin, 0) <= 0 THEN 'tied scores'
    END AS lost
FROM sides AS s
LEFT JOIN chosen AS c ON s.prompt_id = c.prompt_id AND s.side = c.side
LEFT JOIN rejected AS r ON s.prompt_id = r.prompt_id AND s.side = r.side
