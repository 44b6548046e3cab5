-- A few pairs to look at: those with the smallest, the median and the largest margin. Kept as the temporary table `examples`.
-- Reads audit_pairs. No parameters. Gives picked (why this one; NULL without margins), columns of audit_pairs, place.
SELECT
    CASE
        WHEN margin IS NULL OR n_pairs = 1 THEN NULL
        WHEN place = 1 THEN 'smallest margin'
        WHEN place = n_pairs THEN 'largest margin'
        ELSE 'median margin'
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
    FROM audit_pairs
)
WHERE place IN (1, (n_pairs + 1) // 2, n_pairs)
