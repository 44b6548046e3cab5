-- The ranges within which scores are drawn against lengths. Kept as the temporary table `length_ranges`.
-- Reads judged (judged.sql). No parameters.
-- Returns judge_no (judged.sql), first and last (ln of characters), least and greatest (score): the 1st and the 99th percentile
-- of each, over finite scores.
WITH ends AS (
    SELECT
        judge_no,
        quantile_cont(ln(greatest(n_chars, 1)), [0.01, 0.99]) AS lengths,
        quantile_cont(score, [0.01, 0.99]) AS scores
    FROM judged
    WHERE finite
    GROUP BY judge_no
)

SELECT judge_no, lengths[1] AS first, lengths[2] AS last, scores[1] AS least, scores[2] AS greatest
FROM ends
WHERE last > first AND greatest > least
