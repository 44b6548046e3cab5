-- The answers with their mean rank as the score (select.judge: mean_rank).
-- Reads answers (mark_answers.sql with all judges), scores.
--   $judges  the judges, one or more
-- Gives the columns of answers; `score` is the mean over the judges of the share of the prompt's other answers, of all its
-- sources, that the answer outscores, a tie counting half: its rank, from 0 (the worst by all judges) to 1 (the best by all), 0.5
-- where nothing else was answered. So a margin is a difference of mean ranks. Only answers that all judges scored have a rank,
-- and repeated texts, and what people have excluded, neither have one nor count. Sums are of whole numbers: the order of rows cannot change a last digit.
WITH judged AS (
    SELECT DISTINCT a.prompt_id, a.response_id, s.judge, s.score
    FROM answers AS a
    INNER JOIN scores AS s ON a.response_id = s.response_id
    WHERE
        a.scored
        AND NOT a.repeated
        AND a.fault IS DISTINCT FROM 'flagged'
        AND list_contains($judges::VARCHAR [], s.judge)
),

placed AS (
    SELECT
        prompt_id,
        response_id,
        2 * (rank() OVER (PARTITION BY prompt_id, judge ORDER BY score) - 1)
        + count(*) OVER (PARTITION BY prompt_id, judge, score) - 1 AS halves_beaten,
        count(*) OVER (PARTITION BY prompt_id, judge) - 1 AS n_others
    FROM judged
),

ranked AS (
    SELECT
        prompt_id,
        response_id,
        if(any_value(n_others) = 0, 0.5, sum(halves_beaten) / (2 * sum(n_others))) AS mean_rank
    FROM placed
    GROUP BY prompt_id, response_id
)

SELECT a.* REPLACE (r.mean_rank::DOUBLE AS score)
FROM answers AS a
LEFT JOIN ranked AS r ON a.prompt_id = r.prompt_id AND a.response_id = r.response_id
