-- How many answers two judges rank at about the same places: a two-dimensional histogram over the share of a judge's scores
-- that are lower.
-- Reads judged (judged.sql).
--   $n_bins  number of bins in each direction
-- Returns judge_no, other_no (judged.sql), low and other_low (lower ends of the bin, as shares of the answers), answers.
-- Repeated texts count once.
WITH placed AS (
    SELECT
        judge_no,
        prompt_no,
        id,
        least(floor(percent_rank() OVER (PARTITION BY judge_no ORDER BY score) * $n_bins), $n_bins - 1) AS bin
    FROM judged
    WHERE finite AND NOT repeated
)

SELECT
    a.judge_no,
    b.judge_no AS other_no,
    a.bin / $n_bins AS low,
    b.bin / $n_bins AS other_low,
    count(*) AS answers
FROM placed AS a
INNER JOIN placed AS b ON a.prompt_no = b.prompt_no AND a.id = b.id AND a.judge_no < b.judge_no
GROUP BY a.judge_no, b.judge_no, a.bin, b.bin
ORDER BY a.judge_no, b.judge_no, a.bin, b.bin
