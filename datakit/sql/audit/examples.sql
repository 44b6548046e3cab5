-- A few pairs to look at, from the smallest to the largest margin in equal steps. Kept as the temporary table `examples`.
-- Reads examined (audit_pairs, or some of them).
--   $most  how many
-- Returns picked (why this pair; NULL without margins), the columns of audit_pairs, place.
SELECT
    CASE
        WHEN margin IS NULL OR n_pairs = 1 THEN NULL
        WHEN place = 1 THEN 'smallest margin'
        WHEN place = n_pairs THEN 'largest margin'
        WHEN place = (n_pairs + 1) // 2 THEN 'median margin'
        ELSE 'margin'
    END AS picked,
    prompt_id,
    model,
    rejected_model,
    chosen_id,
    rejected_id,
    margin,
    log_length_ratio,
    chosen_chars,
    rejected_chars,
    chosen_score,
    rejected_score,
    place
FROM (
    SELECT *, count(*) OVER () AS n_pairs, row_number() OVER (ORDER BY margin NULLS LAST, chosen_id, rejected_id) AS place
    FROM examined
)
WHERE list_contains([1 + i * (n_pairs - 1) // greatest($most - 1, 1) FOR i IN range($most)], place)
