-- How often the scores that select put a right answer above a wrong one that it could be paired with, as in
-- select/rank_right.sql.
-- Reads answers.
--   $by_source  both answers of a pair come from one source model
-- Returns one row: comparisons, prompts (that have some), won (a tie counts half), and spread: the sum over prompts of
-- (won - comparisons * the overall share) squared, with which an interval can account for comparisons of one prompt being
-- correlated.
WITH sided AS (
    SELECT prompt_no, if($by_source, model_no, 0) AS side, passed, failed, score
    FROM answers
    WHERE isfinite(score) AND (passed OR failed)
),

by_prompt AS (
    SELECT
        r.prompt_no,
        count(*) AS comparisons,
        sum(CASE WHEN r.score > w.score THEN 1.0 WHEN r.score = w.score THEN 0.5 ELSE 0.0 END) AS won
    FROM sided AS r
    INNER JOIN sided AS w ON r.prompt_no = w.prompt_no AND r.side = w.side
    WHERE r.passed AND w.failed
    GROUP BY r.prompt_no
)

SELECT
    coalesce(sum(comparisons), 0)::BIGINT AS comparisons,
    count(*) AS prompts,
    coalesce(sum(won), 0)::DOUBLE AS won,
    coalesce(sum((won - comparisons * (SELECT sum(won) / sum(comparisons) FROM by_prompt)) ** 2), 0)::DOUBLE AS spread
FROM by_prompt
