-- The best right and the worst wrong answer of every prompt and source model (or of every prompt): what may become a pair.
-- Kept as the temporary table `matched`.
-- Reads answers (mark_answers.sql).
--   $by_source  both answers of a pair are one source model's
--   $verified   answers were verified: without verdicts a pair needs a margin above 0
--   $ranked     scores are mean ranks: margins are rounded to 12 digits, for equal differences of fractions must be equal
-- Gives one row a prompt and source, `side` its number (0: any source): both answers as a struct (id, model_no, n_chars, score, ...),
-- margin (chosen minus rejected score), log_length_ratio (ln of chosen / rejected characters), length_ratio (longer / shorter), and
-- `lost`: why it can be no pair whatever the rules about margins and lengths, else NULL. Ties are broken by id (ids are hashes), never
-- by position: the smallest of structs whose first field is the score, without a window over all answers.
WITH extremes AS (
    SELECT
        prompt_no,
        if($by_source, model_no, 0) AS side,
        min({
            'place': -coalesce(score, '-inf'::DOUBLE),
            'id': id,
            'model_no': model_no,
            'n_chars': n_chars,
            'text_hash': text_hash,
            'score': score
        }) FILTER (WHERE may_be_chosen) AS chosen,
        min({
            'place': coalesce(score, 'inf'::DOUBLE),
            'id': id,
            'model_no': model_no,
            'n_chars': n_chars,
            'text_hash': text_hash,
            'score': score
        }) FILTER (WHERE may_be_rejected) AS rejected
    FROM answers
    GROUP BY ALL
)

SELECT
    prompt_no,
    side,
    chosen,
    rejected,
    if($ranked, round(chosen.score - rejected.score, 12), chosen.score - rejected.score) AS margin,
    ln(greatest(chosen.n_chars, 1) / greatest(rejected.n_chars, 1)) AS log_length_ratio,
    greatest(chosen.n_chars, rejected.n_chars, 1) / greatest(least(chosen.n_chars, rejected.n_chars), 1) AS length_ratio,
    CASE
        WHEN chosen IS NULL AND rejected IS NULL THEN 'nothing to judge by'
        WHEN chosen IS NULL THEN 'no right answer'
        WHEN rejected IS NULL THEN 'no wrong answer'
        WHEN chosen.text_hash = rejected.text_hash THEN 'same text'
        WHEN NOT $verified AND coalesce(margin, 0) <= 0 THEN 'tied scores'
    END AS lost
FROM extremes
