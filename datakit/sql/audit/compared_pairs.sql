-- Statistics of the pairs before and after, in one row each.
-- Reads before_pairs, after_pairs. No parameters.
-- Returns two rows, the one before first: pairs, longer (pairs whose chosen answer has more characters), log_ratio (the mean of
-- log_length_ratio), margins (minimum, quartiles and maximum; NULL if no pair has a margin).
SELECT
    count(*) AS pairs,
    count(*) FILTER (WHERE log_length_ratio > 0) AS longer,
    favg(log_length_ratio) AS log_ratio,
    quantile_cont(margin, [0.0, 0.25, 0.5, 0.75, 1.0]) AS margins
FROM before_pairs
UNION ALL
SELECT
    count(*) AS pairs,
    count(*) FILTER (WHERE log_length_ratio > 0) AS longer,
    favg(log_length_ratio) AS log_ratio,
    quantile_cont(margin, [0.0, 0.25, 0.5, 0.75, 1.0]) AS margins
FROM after_pairs
