-- How often each judge scores a right answer above a wrong one, by how far apart the two scores are.
-- Reads judged (judged.sql).
--   $wrong       outcomes that count as wrong
--   $any_source  a pair may join two source models
--   $n_bins      number of bins, of about equally many comparisons; fewer if scores repeat
-- Returns judge_no (judged.sql), low, high (the smallest and the largest difference in the bin), comparisons, prompts, won (a
-- tie counts half), and spread: the sum over prompts of (won - comparisons * the bin's share) squared, with which an interval
-- can account for comparisons of one prompt being correlated.
WITH compared AS (
    SELECT
        r.judge_no,
        r.prompt_no,
        abs(r.score - w.score) AS margin,
        CASE WHEN r.score > w.score THEN 1.0 WHEN r.score = w.score THEN 0.5 ELSE 0.0 END AS won
    FROM judged AS r
    INNER JOIN judged AS w ON r.judge_no = w.judge_no AND r.prompt_no = w.prompt_no AND ($any_source OR r.model_no = w.model_no)
    WHERE
        r.finite AND w.finite AND r.outcome = 'passed' AND list_contains($wrong, w.outcome)
        AND NOT r.repeated AND NOT w.repeated
),

quantiles AS (
    SELECT judge_no, quantile_cont(margin, [i / $n_bins FOR i IN range($n_bins::INTEGER)]) AS edges
    FROM compared
    GROUP BY judge_no
),

edges AS (
    SELECT DISTINCT judge_no, unnest(edges) AS edge FROM quantiles
),

binned AS (
    SELECT c.judge_no, c.prompt_no, c.margin, c.won, e.edge
    FROM compared AS c
    ASOF LEFT JOIN edges AS e ON c.judge_no = e.judge_no AND c.margin >= e.edge
),

by_prompt AS (
    SELECT
        judge_no,
        edge,
        prompt_no,
        count(*) AS comparisons,
        sum(won) AS won,
        min(margin) AS low,
        max(margin) AS high
    FROM binned
    GROUP BY judge_no, edge, prompt_no
),

by_bin AS (
    SELECT judge_no, edge, sum(won) / sum(comparisons) AS share
    FROM by_prompt
    GROUP BY judge_no, edge
)

SELECT
    p.judge_no,
    min(p.low) AS low,
    max(p.high) AS high,
    sum(p.comparisons)::BIGINT AS comparisons,
    count(*) AS prompts,
    sum(p.won)::DOUBLE AS won,
    sum((p.won - p.comparisons * b.share) ** 2)::DOUBLE AS spread
FROM by_prompt AS p
INNER JOIN by_bin AS b ON p.judge_no = b.judge_no AND p.edge IS NOT DISTINCT FROM b.edge
GROUP BY p.judge_no, p.edge
ORDER BY p.judge_no, low
