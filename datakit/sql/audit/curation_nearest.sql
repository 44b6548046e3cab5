-- How close the kept prompts come to a benchmark: a histogram over the share of the nearest item.
-- Reads prompts, overlaps.
--   $n_bins  number of bins of equal width from 0 to 1; the first also holds the prompts that met nothing
-- Returns edges (n_bins + 1 numbers), counts (n_bins numbers).
WITH nearest AS (
    SELECT
        p.prompt_id,
        coalesce(max(o.share) FILTER (WHERE o.reason LIKE 'near:%' OR o.reason LIKE 'contaminated:%'), 0) AS share
    FROM prompts AS p
    LEFT JOIN overlaps AS o ON p.prompt_id = o.prompt_id
    WHERE p.dropped IS NULL
    GROUP BY p.prompt_id
),

binned AS (SELECT list(least(floor(share * $n_bins), $n_bins - 1)) AS bins FROM nearest)

SELECT
    [i / $n_bins FOR i IN range($n_bins + 1)] AS edges,
    [len(list_filter(coalesce(bins, []), lambda bin: bin = i)) FOR i IN range($n_bins)] AS counts
FROM binned
