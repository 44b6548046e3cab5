-- Statistics of the pairs, in one row.
-- Reads audit_pairs. No parameters.
-- Returns count, margin_min, margin_median, margin_max, chosen_longer and its share of all pairs (strictly more characters),
-- length_ratio_geomean (chosen / rejected characters).
SELECT
    count(*) AS count,
    min(margin) AS margin_min,
    median(margin) AS margin_median,
    max(margin) AS margin_max,
    count(*) FILTER (WHERE chosen_chars > rejected_chars) AS chosen_longer,
    count(*) FILTER (WHERE chosen_chars > rejected_chars) / nullif(count(*), 0) AS chosen_longer_share,
    exp(avg(log_length_ratio)) AS length_ratio_geomean
FROM audit_pairs
