-- How well scores rank answers that are verified.
-- Reads valued (value_answers.sql).
--   $by_source  both answers of a pair come from one source model
--   $raw        use the judge's scores, even if the rule removes what length adds to them
-- Returns one row: ranking_accuracy, how often a right answer outscores a wrong one that it could be paired with (of the same
-- prompt and source, or of the same prompt; a tie counts half), and comparisons: out of how many. Answers count as they were
-- verified, whether or not they may be in a pair.
WITH sided AS (
    SELECT prompt_no, if($by_source, model_no, 0) AS side, passed, failed, if($raw, score, value) AS score
    FROM valued
    WHERE isfinite(score) AND (passed OR failed)
)

SELECT
    avg(CASE WHEN r.score > w.score THEN 1.0 WHEN r.score = w.score THEN 0.5 ELSE 0.0 END) AS ranking_accuracy,
    count(*) AS comparisons
FROM sided AS r
INNER JOIN sided AS w ON r.prompt_no = w.prompt_no AND r.side = w.side
WHERE r.passed AND w.failed
