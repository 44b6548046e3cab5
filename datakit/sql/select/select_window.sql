-- The margin window of a recipe that gives it as quantiles of the run's own margins.
-- Reads matched (match_answers.sql): the candidates that can be pairs, one per prompt and source (one per prompt with
-- any_source), before any rule about margins or lengths.
--   $low, $high  quantiles, 0 to 1
-- Returns one row, margin_low and margin_high: the smallest margins that at least a share of $low, and of $high, of the
-- candidates do not exceed. Both are margins of candidates, so the window, ends included, keeps at least $high - $low of them;
-- NULL if there are none.
WITH placed AS (
    SELECT margin, row_number() OVER (ORDER BY margin) AS place, count(*) OVER () AS n
    FROM matched
    WHERE lost IS NULL AND margin IS NOT NULL
)

SELECT
    min(margin) FILTER (WHERE place >= ceil($low::DECIMAL(9, 6) * n)) AS margin_low,
    max(margin) FILTER (WHERE place <= greatest(ceil($high::DECIMAL(9, 6) * n), 1)) AS margin_high
FROM placed
