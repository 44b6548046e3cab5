-- For each side whose first pair breaks a rule, the pair with the largest margin that obeys. Kept as the temporary table
-- `found`.
-- Reads searched_sides (a view of matched, match_answers.sql, or of some of it), valued (value_answers.sql), flagged_pairs
-- (find_flagged_pairs.sql).
--   $rules      also obey the window and the rules about lengths (select.search: feasible); FALSE: only what every pair must
--               obey, which the first pair of a side may fail if length was removed from the scores
--   $margin_low, $margin_high, $length_ratio_max, $chars_max, $tokens_max  as in select_pairs.sql
--   $by_source, $verified, $ranked  as in match_answers.sql
-- Returns one row per side that has pairs inside the window: prompt_no, side, and `pair`, a struct of chosen, rejected, margin;
-- NULL if none of them obeys the rules about lengths, `lost` says which rule. Ties are broken by margin, chosen id, rejected
-- id. A side whose largest margin is below the window has no pair inside it, and one whose first pair obeys needs none: neither
-- is joined.
WITH open AS (
    SELECT prompt_no, side
    FROM searched_sides
    WHERE
        chosen.id IS NOT NULL
        AND rejected.id IS NOT NULL
        AND ($verified OR largest > 0)
        AND if(
            $rules,
            coalesce(largest >= $margin_low, TRUE)
            AND (
                lost IS NOT NULL
                OR coalesce(margin < $margin_low OR margin > $margin_high, FALSE)
                OR coalesce(length_ratio(chosen, rejected) > $length_ratio_max, FALSE)
                OR coalesce(abs(chosen.n_chars - rejected.n_chars) > $chars_max, FALSE)
                OR coalesce(abs(chosen.n_tokens - rejected.n_tokens) > $tokens_max, FALSE)
            ),
            lost = 'tied scores'
        )
),

rest AS (
    SELECT
        o.prompt_no,
        o.side,
        a.may_be_chosen,
        a.may_be_rejected,
        a.value,
        a.id,
        a.model_no,
        a.n_chars,
        a.n_tokens,
        a.text_hash,
        a.score
    FROM open AS o
    INNER JOIN valued AS a ON o.prompt_no = a.prompt_no AND o.side = if($by_source, a.model_no, 0)
),

inside AS (
    SELECT
        c.prompt_no,
        c.side,
        if($ranked, round(c.value - j.value, 12), c.value - j.value) AS margin,
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
            'id': j.id,
            'model_no': j.model_no,
            'n_chars': j.n_chars,
            'n_tokens': j.n_tokens,
            'text_hash': j.text_hash,
            'score': j.score,
            'value': j.value
        } AS rejected,
        NOT $rules OR coalesce(length_ratio(c, j) <= $length_ratio_max, TRUE) AS ratio_obeys,
        NOT $rules OR coalesce(abs(c.n_chars - j.n_chars) <= $chars_max, TRUE)
        AND coalesce(abs(c.n_tokens - j.n_tokens) <= $tokens_max, TRUE) AS difference_obeys
    FROM rest AS c
    INNER JOIN rest AS j ON c.prompt_no = j.prompt_no AND c.side = j.side
    ANTI JOIN flagged_pairs AS f ON c.prompt_no = f.prompt_no AND c.text_hash = f.chosen AND j.text_hash = f.rejected
    WHERE
        c.may_be_chosen
        AND j.may_be_rejected
        AND c.text_hash <> j.text_hash
        AND ($verified OR c.score > j.score AND margin > 0)
        AND (NOT $rules OR coalesce(margin >= $margin_low, TRUE) AND coalesce(margin <= $margin_high, TRUE))
)

SELECT
    prompt_no,
    side,
    min({
        'place': -coalesce(margin, 0),
        'chosen_id': chosen.id,
        'rejected_id': rejected.id,
        'chosen': chosen,
        'rejected': rejected,
        'margin': margin
    }) FILTER (WHERE ratio_obeys AND difference_obeys) AS pair,
    if(bool_or(ratio_obeys), 'length difference', 'length ratio') AS lost
FROM inside
GROUP BY ALL
