-- Histograms of `amounts` (pair_amounts.sql, source_amounts.sql).
-- Reads amounts.
--   $n_bins  number of bins
-- Gives what, model, edges (n_bins + 1 numbers), counts (n_bins numbers). All models of one `what` share their edges: equal
-- steps between the 1st and the 99th percentile, the outer bins reach to the ends; of log_length_ratio symmetric around 0.
WITH bounds AS (
    SELECT
        what,
        min(amount) AS smallest,
        max(amount) AS largest,
        if(what = 'log_length_ratio', -quantile_cont(abs(amount), 0.99), quantile_cont(amount, 0.01)) AS first,
        if(what = 'log_length_ratio', quantile_cont(abs(amount), 0.99), quantile_cont(amount, 0.99)) AS last
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
    SELECT a.what, a.model, least(greatest(floor((a.amount - e.low) / (e.high - e.low) * $n_bins), 0), $n_bins - 1) AS bin
    FROM amounts AS a
    INNER JOIN edges AS e ON a.what = e.what
),

grouped AS (
    SELECT what, model, list(bin) AS bins
    FROM binned
    GROUP BY what, model
)

SELECT
    g.what,
    g.model,
    if(g.what = 'chars', [exp(edge) FOR edge IN e.edges], e.edges) AS edges,
    [len(list_filter(g.bins, lambda bin: bin = i)) FOR i IN range($n_bins)] AS counts
FROM grouped AS g
INNER JOIN edges AS e ON g.what = e.what
ORDER BY g.what, g.model
