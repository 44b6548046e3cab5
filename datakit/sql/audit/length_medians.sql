-- The median score by length, per judge and source; rows with model_no NULL are over all sources together.
-- Reads judged (judged.sql), length_ranges.
--   $n_lengths  number of bins; values outside the range count in the outermost one
--   $fewest     minimum number of answers in a bin that is returned
-- Returns judge_no (judged.sql), model_no, chars_low, chars_high, answers, median.
WITH placed AS (
    SELECT
        r.*,
        j.model_no,
        j.score,
        least(greatest(floor((ln(greatest(j.n_chars, 1)) - r.first) / (r.last - r.first) * $n_lengths), 0), $n_lengths - 1) AS x
    FROM judged AS j
    INNER JOIN length_ranges AS r ON j.judge_no = r.judge_no
    WHERE j.finite
)

SELECT
    judge_no,
    model_no,
    exp(any_value(first + (last - first) * x / $n_lengths)) AS chars_low,
    exp(any_value(first + (last - first) * (x + 1) / $n_lengths)) AS chars_high,
    count(*) AS answers,
    median(score) AS median
FROM placed
GROUP BY GROUPING SETS ((judge_no, x), (judge_no, model_no, x))
HAVING answers >= $fewest
ORDER BY judge_no, model_no NULLS FIRST, x
