-- What scores are drawn against lengths within. Kept as the temporary table `length_ranges`.
-- Reads judged (judged.sql). No parameters.
-- Gives judge_no (judged.sql), first and last (ln of characters), least and greatest (score): the 1st and the 99th percentile of each, of finite scores.
SELECT
    judge_no,
    quantile_cont(ln(greatest(n_chars, 1)), 0.01) AS first,
    quantile_cont(ln(greatest(n_chars, 1)), 0.99) AS last,
    quantile_cont(score, 0.01) AS least,
    quantile_cont(score, 0.99) AS greatest
FROM judged
WHERE finite
GROUP BY judge_no
HAVING last > first AND greatest > least
