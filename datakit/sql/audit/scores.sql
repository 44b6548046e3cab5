-- What the judge's scores are worth.
-- Reads answers.
--   $judge       name of the judge that selects, or NULL for none
--   $wrong       outcomes that count as wrong
--   $any_source  a pair may join two source models
-- Gives one row: scored, unscored, non_finite, length_correlation (Pearson, score and characters), ranking_accuracy: how often
-- a right answer outscores a wrong one that it could be paired with (of the same prompt and source, with any_source of the same
-- prompt; a tie counts half), comparisons: of how many.
WITH finite AS (
    SELECT prompt_id, model, outcome, score, n_chars
    FROM answers
    WHERE isfinite(score)
),

compared AS (
    SELECT CASE WHEN r.score > w.score THEN 1.0 WHEN r.score = w.score THEN 0.5 ELSE 0.0 END AS won
    FROM finite AS r
    INNER JOIN finite AS w ON r.prompt_id = w.prompt_id AND ($any_source OR r.model = w.model)
    WHERE r.outcome = 'passed' AND list_contains($wrong, w.outcome)
)

SELECT
    count(*) FILTER (WHERE isfinite(score)) AS scored,
    if($judge IS NULL, NULL, count(*) FILTER (WHERE NOT scored AND score IS NULL AND text_hash IS NOT NULL)) AS unscored,
    count(*) FILTER (WHERE NOT isfinite(score)) AS non_finite,
    (SELECT CASE WHEN isfinite(corr(score, n_chars)) THEN corr(score, n_chars) END FROM finite) AS length_correlation,
    (SELECT avg(won) FROM compared) AS ranking_accuracy,
    (SELECT count(*) FROM compared) AS comparisons
FROM answers
