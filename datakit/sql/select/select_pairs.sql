-- FuseChat-3.0's pair rule: the best right answer against the worst wrong answer, from one source model (or from any).
-- Kept as the temporary table `pair_candidates`.
-- Reads settled (matched, or the same with what search_pairs.sql found), placed (place_prompts.sql: prompts that serve SFT
-- whatever the rules say of their pairs), numbered_prompts, source_answers (find_source_answers.sql).
--   $triples           a pair needs an answer from another source with it (select.target)
--   $margin_low, $margin_high   window of chosen minus rejected score, ends included; NULL: none
--   $length_ratio_max  longer text at most this many times the characters of the shorter; NULL: none
--   $chars_max, $tokens_max     the longer text has at most this many more characters, or tokens, than the shorter; NULL: any
--   $one_per_source    keep every source's pair of a prompt, not only the one with the largest margin
--   $sft_share         share of the prompts with a valid pair that serve SFT instead; NULL: none (pairs_first)
--   $length_bins       width of the bins of |log length ratio| that are balanced; NULL: none
-- Returns the columns of matched, one row per prompt and source, source_answer (NULL except for triples), log_length_ratio (ln
-- of chosen / rejected characters), and `lost`: why this is no pair, NULL for a pair. The rules apply in the order of the
-- parameters. Ties are broken by id (ids are hashes), never by position. Bins come last: they balance what DPO will see.
WITH windowed AS (
    SELECT
        s.* EXCLUDE (lost),
        t.answer AS source_answer,
        ln(greatest(chosen.n_chars, 1) / greatest(rejected.n_chars, 1)) AS log_length_ratio,
        CASE
            WHEN lost IS NOT NULL THEN lost
            WHEN s.prompt_no IN (SELECT prompt_no FROM placed) THEN 'serves SFT'
            WHEN $triples AND t.answer IS NULL THEN 'no right answer of a source'
            WHEN $triples AND t.answer.text_hash = rejected.text_hash THEN 'same text'
            WHEN margin < $margin_low THEN 'margin below the window'
            WHEN margin > $margin_high THEN 'margin above the window'
            WHEN length_ratio(chosen, rejected) > $length_ratio_max THEN 'length ratio'
            WHEN abs(chosen.n_chars - rejected.n_chars) > $chars_max THEN 'length difference'
            WHEN abs(chosen.n_tokens - rejected.n_tokens) > $tokens_max THEN 'length difference'
        END AS lost
    FROM settled AS s
    LEFT JOIN source_answers AS t ON s.prompt_no = t.prompt_no
),

largest AS (
    SELECT prompt_no, min({'place': -coalesce(margin, '-inf'::DOUBLE), 'id': chosen.id, 'side': side}).side AS side
    FROM windowed
    WHERE lost IS NULL AND NOT $one_per_source
    GROUP BY prompt_no
),

per_prompt AS (
    SELECT w.* EXCLUDE (lost), if(w.lost IS NULL AND w.side <> l.side, 'another source''s pair', w.lost) AS lost
    FROM windowed AS w
    LEFT JOIN largest AS l ON w.prompt_no = l.prompt_no
),

shares AS (
    SELECT
        v.prompt_no,
        row_number() OVER (ORDER BY md5('split/' || p.prompt_id), p.prompt_id)
        <= floor($sft_share::DECIMAL(9, 6) * count(*) OVER ()) AS goes_to_sft
    FROM (SELECT DISTINCT prompt_no FROM per_prompt WHERE lost IS NULL AND $sft_share IS NOT NULL) AS v
    INNER JOIN numbered_prompts AS p ON v.prompt_no = p.prompt_no
),

split AS (
    SELECT p.* EXCLUDE (lost), if(p.lost IS NULL AND s.goes_to_sft, 'serves SFT', p.lost) AS lost
    FROM per_prompt AS p
    LEFT JOIN shares AS s ON p.prompt_no = s.prompt_no
),

binned AS (
    SELECT prompt_no, side, chosen, rejected, round(abs(log_length_ratio) / $length_bins) AS bin, log_length_ratio > 0 AS longer_chosen
    FROM split
    WHERE lost IS NULL AND log_length_ratio <> 0 AND $length_bins IS NOT NULL
),

ranked AS (
    SELECT
        prompt_no,
        side,
        row_number() OVER (
            PARTITION BY bin, longer_chosen ORDER BY md5('bins/' || id_text(chosen.id) || id_text(rejected.id))
        ) AS rank_in_side,
        count(*) FILTER (WHERE longer_chosen) OVER (PARTITION BY bin) AS n_longer_chosen,
        count(*) FILTER (WHERE NOT longer_chosen) OVER (PARTITION BY bin) AS n_longer_rejected
    FROM binned
)

SELECT s.* EXCLUDE (lost), if(r.rank_in_side > least(r.n_longer_chosen, r.n_longer_rejected), 'length bins', s.lost) AS lost
FROM split AS s
LEFT JOIN ranked AS r ON s.prompt_no = r.prompt_no AND s.side = r.side
