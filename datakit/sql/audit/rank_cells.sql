-- How many answers two judges place where: a histogram in two directions, of the share of a judge's scores that lie below.
-- Reads judged (judged.sql).
--   $n_bins  bins of each direction
-- Gives judge_no, other_no (judged.sql), low and other_low (where each bin begins, as a share of the answers), answers. Repeated texts count once.
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
