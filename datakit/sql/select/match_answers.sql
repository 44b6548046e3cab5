-- The best right and the worst wrong answer per prompt and source model (or per prompt): what may become a pair.
-- Kept as the temporary table `matched`.
-- Reads valued (value_answers.sql).
--   $by_source  both answers of a pair come from one source model
--   $verified   answers were verified; without verdicts a pair needs a margin above 0
--   $ranked     scores are mean ranks: margins are rounded to 12 digits, so that equal differences of fractions are equal
-- Returns one row per prompt and source, `side` its number (0: any source): both answers as a struct (id, model_no, n_chars,
-- n_tokens, text_hash, score, and `value`, the score that selects; all NULL if there is none), margin (chosen minus rejected
-- value), largest (equal to margin here: no pair of the side has a larger one) and `lost`: why this can be no pair whatever the
-- rules about margins and lengths, else NULL. Ties are broken by id (ids are hashes), never by position: the best answer is the
-- smallest struct of score and id, without a window over all answers. Only its row number is carried along: two joins cost less
-- than an aggregate that holds structs.
WITH extremes AS (
    SELECT
        prompt_no,
        if($by_source, model_no, 0) AS side,
        arg_min("row", {'place': -coalesce(value, '-inf'::DOUBLE), 'id': id}) FILTER (WHERE may_be_chosen) AS best,
        arg_min("row", {'place': coalesce(value, 'inf'::DOUBLE), 'id': id}) FILTER (WHERE may_be_rejected) AS worst,
        count(*) FILTER (WHERE may_be_chosen OR may_be_rejected) = 1 AS single
    FROM valued
    GROUP BY ALL
),

sides AS (
    SELECT
        e.prompt_no,
        e.side,
        {
            'id': c.id,
            'model_no': c.model_no,
            'n_chars': c.n_chars,
            'n_tokens': c.n_tokens,
            'text_hash': c.text_hash,
            'score': c.score,
            'value': c.value
        } AS chosen,
        {
            'id': r.id,
            'model_no': r.model_no,
            'n_chars': r.n_chars,
            'n_tokens': r.n_tokens,
            'text_hash': r.text_hash,
            'score': r.score,
            'value': r.value
        } AS rejected,
        e.single
    FROM extremes AS e
    LEFT JOIN valued AS c ON e.best = c."row"
    LEFT JOIN valued AS r ON e.worst = r."row"
)

SELECT
    prompt_no,
    side,
    chosen,
    rejected,
    if($ranked, round(chosen.value - rejected.value, 12), chosen.value - rejected.value) AS margin,
    margin AS largest,
    why_no_pair(chosen, rejected, margin, $verified, single) AS lost
FROM sides
