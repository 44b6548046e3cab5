-- FuseChat-3.0's pair rule: the best right answer against the worst wrong answer, of one source model (or of any).
-- Reads matched (match_answers.sql), placed (place_prompts.sql: prompts that serve SFT whatever the rules say of their pairs).
--   $margin_low, $margin_high   window of chosen minus rejected score, ends included; NULL: none
--   $length_ratio_max  longer text at most this many times the characters of the shorter; NULL: none
--   $one_per_source    keep every source's pair of a prompt, not only the one with the largest margin
--   $sft_share         share of the prompts with a valid pair that serve SFT instead; NULL: none (pairs_first)
--   $length_bins       width of the bins of |log length ratio| that are balanced; NULL: none
-- Gives one row a prompt and source with both answers of its best pair and `lost`: why it is no pair, NULL for a pair.
-- Ties are broken by id (ids are hashes), never by position. Bins come last: they balance what DPO will see.
WITH windowed AS (
    SELECT
        * EXCLUDE (lost),
        CASE
            WHEN lost IS NOT NULL THEN lost
            WHEN prompt_id IN (SELECT prompt_id FROM placed) THEN 'serves SFT'
            WHEN margin < $margin_low THEN 'margin below the window'
            WHEN margin > $margin_high THEN 'margin above the window'
            WHEN length_ratio > $length_ratio_max THEN 'length ratio'
        END AS lost
    FROM matched
),

per_prompt AS (
    SELECT
        * EXCLUDE (lost),
        CASE
            WHEN lost IS NOT NULL THEN lost
            WHEN NOT $one_per_source
                AND row_number() OVER (
                    PARTITION BY prompt_id, lost IS NULL ORDER BY margin DESC NULLS LAST, chosen_id
                ) > 1 THEN 'another source''s pair'
        END AS lost
    FROM windowed
),

shares AS (
    SELECT
        prompt_id,
        row_number() OVER (ORDER BY md5('split/' || prompt_id), prompt_id)
        <= floor(coalesce($sft_share, 0)::DECIMAL(9, 6) * count(*) OVER ()) AS goes_to_sft
    FROM (SELECT DISTINCT prompt_id FROM per_prompt WHERE lost IS NULL)
),

split AS (
    SELECT p.* EXCLUDE (lost), if(s.goes_to_sft, 'serves SFT', p.lost) AS lost
    FROM per_prompt AS p
    LEFT JOIN shares AS s ON p.prompt_id = s.prompt_id AND p.lost IS NULL
),

binned AS (
    SELECT
        *,
        lost IS NULL AND log_length_ratio <> 0 AS in_bin,
        round(abs(log_length_ratio) / $length_bins) AS bin,
        log_length_ratio > 0 AS longer_chosen
    FROM split
),

ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY in_bin, bin, longer_chosen ORDER BY md5('bins/' || chosen_id || rejected_id)) AS rank_in_side,
        count(*) FILTER (WHERE longer_chosen) OVER (PARTITION BY in_bin, bin) AS n_longer_chosen,
        count(*) FILTER (WHERE NOT longer_chosen) OVER (PARTITION BY in_bin, bin) AS n_longer_rejected
    FROM binned
)

SELECT
    prompt_id,
    model,
    rejected_model,
    chosen_id,
    rejected_id,
    margin,
    log_length_ratio,
    CASE
        WHEN $length_bins IS NOT NULL AND in_bin AND rank_in_side > least(n_longer_chosen, n_longer_rejected) THEN 'length bins'
        ELSE lost
    END AS lost
FROM ranked
ORDER BY prompt_id, model
