-- Histograms of `amounts` (pair_amounts.sql, source_amounts.sql, judge_amounts.sql).
-- Reads amounts.
--   $n_bins  number of bins
-- Returns what, model_no, edges (n_bins + 1 numbers), counts (n_bins numbers); for each `what` also a row with model_no NULL:
-- all models together. All models of one `what` share their edges: equal steps between the 1st and the 99th percentile; the
-- outer bins extend to the minimum and the maximum. The range of log_length_ratio is symmetric around 0.
WITH bounds AS (
    SELECT
        what,
        min(amount) AS smallest,
        max(amount) AS largest,
        quantile_cont(if(what::VARCHAR = 'log_length_ratio', abs(amount), amount), [0.01, 0.99]) AS ends,
        if(what::VARCHAR = 'log_length_ratio', -ends[2], ends[1]) AS first,
        ends[2] AS last
    FROM amounts
    GROUP BY what
),

ranges AS (
    SELECT what, smallest, largest, first - pad AS low, last + pad AS high
    FROM (SELECT *, if(last > first, 0, greatest(abs(first) * 0.01, 0.0001)) AS pad FROM bounds)
),

edges AS (
    SELECT
        what,
        low,
        high,
        [
            CASE i WHEN 0 THEN least(low, smallest) WHEN $n_bins THEN greatest(high, largest) ELSE low + (high - low) * i / $n_bins END
            FOR i IN range($n_bins + 1)
        ] AS edges
    FROM ranges
),

binned AS (
    SELECT
        a.what,
        a.model_no,
        least(greatest(floor((a.amount - e.low) / (e.high - e.low) * $n_bins), 0), $n_bins - 1)::INTEGER AS bin,
        count(*) AS n
    FROM amounts AS a
    INNER JOIN edges AS e ON a.what = e.what
    GROUP BY ALL
),

grouped AS (
    SELECT what, model_no, bin, n
    FROM binned
    WHERE model_no IS NOT NULL
    UNION ALL
    SELECT what, NULL, bin, sum(n)::BIGINT
    FROM binned
    GROUP BY what, bin
)

SELECT
    g.what,
    g.model_no,
    if(g.what::VARCHAR = 'chars', [exp(edge) FOR edge IN any_value(e.edges)], any_value(e.edges)) AS edges,
    [coalesce(map(list(g.bin), list(g.n))[i], 0) FOR i IN range($n_bins)] AS counts
FROM grouped AS g
INNER JOIN edges AS e ON g.what = e.what
GROUP BY g.what, g.model_no
ORDER BY g.what, g.model_no
