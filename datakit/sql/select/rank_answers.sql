-- The mean ranks of the answers (select.judge: mean_rank), as their scores.
-- Changes answers (mark_answers.sql with all judges). Reads scores.
--   $judges  the judges, one or more
-- The score becomes the mean over the judges of the share of the prompt's other answers, from all its sources, that the answer
-- outscores; a tie counts half. This rank goes from 0 (the worst for all judges) to 1 (the best for all), and is 0.5 if there
-- are no other answers. So a margin is a difference of mean ranks. Only answers that all judges scored have a rank; repeated
-- texts, and what people have excluded, neither have one nor count. Sums are of whole numbers: the order of rows cannot change
-- a last digit.
UPDATE answers
SET score = ranked.mean_rank
FROM (
    WITH judged AS (
        SELECT DISTINCT a.prompt_no, a.id, s.judge, s.score
        FROM answers AS a
        INNER JOIN scores AS s ON a.id = id_number(s.response_id)
        WHERE a.scored AND NOT a.repeated AND NOT a.flagged AND list_contains($judges::VARCHAR [], s.judge)
    ),

    placed AS (
        SELECT
            prompt_no,
            id,
            2 * (rank() OVER (PARTITION BY prompt_no, judge ORDER BY score) - 1)
            + count(*) OVER (PARTITION BY prompt_no, judge, score) - 1 AS halves_beaten,
            count(*) OVER (PARTITION BY prompt_no, judge) - 1 AS n_others
        FROM judged
    ),

    ranks AS (
        SELECT
            prompt_no,
            id,
            if(any_value(n_others) = 0, 0.5, sum(halves_beaten) / (2 * sum(n_others)))::DOUBLE AS mean_rank
        FROM placed
        GROUP BY prompt_no, id
    )

    SELECT a.rowid AS place, r.mean_rank
    FROM answers AS a
    LEFT JOIN ranks AS r ON a.prompt_no = r.prompt_no AND a.id = r.id
) AS ranked
WHERE answers.rowid = ranked.place
