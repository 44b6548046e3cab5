-- How many answers have about a given length and score: a two-dimensional histogram.
-- Reads judged (judged.sql), length_ranges.
--   $n_lengths, $n_scores  number of bins; values outside the range count in the outermost one
-- Returns judge_no (judged.sql), chars_low, chars_high, score_low, score_high, answers.
WITH placed AS (
    SELECT
        r.*,
        least(greatest(floor((ln(greatest(j.n_chars, 1)) - r.first) / (r.last - r.first) * $n_lengths), 0), $n_lengths - 1) AS x,
        least(greatest(floor((j.score - r.least) / (r.greatest - r.least) * $n_scores), 0), $n_scores - 1) AS y
    FROM judged AS j
    INNER JOIN length_ranges AS r ON j.judge_no = r.judge_no
    WHERE j.finite
)

SELECT
    judge_no,
    exp(any_value(first + (last - first) * x / $n_lengths)) AS chars_low,
    exp(any_value(first + (last - first) * (x + 1) / $n_lengths)) AS chars_high,
    any_value(least + (greatest - least) * y / $n_scores) AS score_low,
    any_value(least + (greatest - least) * (y + 1) / $n_scores) AS score_high,
    count(*) AS answers
FROM placed
GROUP BY judge_no, x, y
ORDER BY judge_no, x, y
