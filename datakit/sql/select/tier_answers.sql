-- The shortest of the nearly best answers against the longest of the nearly worst (select.length_tier), instead of the
-- extremes.
-- Kept as the temporary table `matched`.
-- Reads matched (match_answers.sql), valued (value_answers.sql).
--   $tier       a right answer is nearly best, a wrong one nearly worst, if it is at most this share of the largest margin away
--   $by_source, $verified, $ranked  as in match_answers.sql
-- Returns the columns of matched; `largest` stays that of the extremes. Ties in length are broken by score, then by id.
WITH near AS (
    SELECT
        m.prompt_no,
        m.side,
        min({
            'length': a.n_chars,
            'answer': {
                'id': a.id,
                'model_no': a.model_no,
                'n_chars': a.n_chars,
                'n_tokens': a.n_tokens,
                'text_hash': a.text_hash,
                'score': a.score,
                'value': a.value
            }
        }) FILTER (WHERE a.may_be_chosen AND a.value >= m.chosen.value - $tier * m.largest).answer AS chosen,
        min({
            'length': -a.n_chars,
            'answer': {
                'id': a.id,
                'model_no': a.model_no,
                'n_chars': a.n_chars,
                'n_tokens': a.n_tokens,
                'text_hash': a.text_hash,
                'score': a.score,
                'value': a.value
            }
        }) FILTER (WHERE a.may_be_rejected AND a.value <= m.rejected.value + $tier * m.largest).answer AS rejected
    FROM matched AS m
    INNER JOIN valued AS a ON m.prompt_no = a.prompt_no AND m.side = if($by_source, a.model_no, 0)
    WHERE m.largest > 0
    GROUP BY ALL
),

tiered AS (
    SELECT
        m.prompt_no,
        m.side,
        coalesce(n.chosen, m.chosen) AS chosen,
        coalesce(n.rejected, m.rejected) AS rejected,
        m.largest,
        m.lost = 'only one answer' AS single
    FROM matched AS m
    LEFT JOIN near AS n ON m.prompt_no = n.prompt_no AND m.side = n.side
)

SELECT
    prompt_no,
    side,
    chosen,
    rejected,
    if($ranked, round(chosen.value - rejected.value, 12), chosen.value - rejected.value) AS margin,
    largest,
    why_no_pair(chosen, rejected, margin, $verified, coalesce(single, FALSE)) AS lost
FROM tiered
