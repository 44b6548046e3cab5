-- The pairs of an export, as pairs.sql gives those of a run. Kept as the temporary table `audit_pairs`.
-- Reads exported (the rows of dpo/train.parquet). No parameters.
SELECT
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
    rejected_score
FROM exported
