-- Statistics of each judge's scores and how well they rank, per source model and over all of them.
-- Reads judged (judged.sql), numbered_sources.
--   $judges      the judges, in order
--   $wrong       outcomes that count as wrong
--   $any_source  a pair may join two source models
-- Returns one row per judge and model, and one per judge with model NULL: all sources together.
--   scored, unscored, non_finite, cut (tokens were left out)  responses
--   lowest, median, highest, mean, deviation                  of the finite scores
--   length_correlation             Pearson, score and characters; NULL if either does not vary
--   ranking_accuracy, comparisons  how often a right answer outscores a wrong one that it could be paired with: of the same
--                                  prompt and source, or with any_source of the same prompt (a tie counts half)
--   answer_pairs, tied_pairs       pairs of answers to one prompt (in a model's row: of one prompt and source), and those of
--                                  equal score
--   groups, flat, best_shared      prompts (prompts and sources) with two answers or more; those whose best answer scores no
--                                  better than the worst; and those in which several answers share the best score
-- Repeated texts count as responses, but not in pairs and groups.
WITH described AS (
    SELECT
        judge_no,
        model_no,
        count(*) FILTER (WHERE finite) AS scored,
        count(*) FILTER (WHERE score IS NULL) AS unscored,
        count(*) FILTER (WHERE NOT finite AND score IS NOT NULL) AS non_finite,
        count(*) FILTER (WHERE cut) AS cut,
        min(score) FILTER (WHERE finite) AS lowest,
        median(score) FILTER (WHERE finite) AS median,
        max(score) FILTER (WHERE finite) AS highest,
        avg(score) FILTER (WHERE finite) AS mean,
        stddev_pop(score) FILTER (WHERE finite) AS deviation,
        corr(score, n_chars) FILTER (WHERE finite) AS length_correlation
    FROM judged
    GROUP BY GROUPING SETS ((judge_no), (judge_no, model_no))
),

sided AS (
    SELECT judge_no, model_no, prompt_no, if($any_source, 0, model_no) AS side, outcome = 'passed' AS passed, score
    FROM judged
    WHERE finite AND (outcome = 'passed' OR list_contains($wrong, outcome))
),

ranked AS (
    SELECT
        r.judge_no,
        r.model_no,
        avg(CASE WHEN r.score > w.score THEN 1.0 WHEN r.score = w.score THEN 0.5 ELSE 0.0 END) AS ranking_accuracy,
        count(*) AS comparisons
    FROM sided AS r
    INNER JOIN sided AS w ON r.judge_no = w.judge_no AND r.prompt_no = w.prompt_no AND r.side = w.side
    WHERE r.passed AND NOT w.passed
    GROUP BY GROUPING SETS ((r.judge_no), (r.judge_no, r.model_no))
),

levels AS (
    SELECT judge_no, model_no, prompt_no, score, count(*) AS n
    FROM judged
    WHERE finite AND NOT repeated
    GROUP BY GROUPING SETS ((judge_no, prompt_no, score), (judge_no, model_no, prompt_no, score))
),

groups AS (
    SELECT
        judge_no,
        model_no,
        sum(n) AS n_answers,
        sum(n * (n - 1) // 2) AS tied_pairs,
        count(*) = 1 AS flat,
        arg_max(n, score) > 1 AS best_shared
    FROM levels
    GROUP BY judge_no, model_no, prompt_no
    HAVING n_answers > 1
),

tied AS (
    SELECT
        judge_no,
        model_no,
        sum(n_answers * (n_answers - 1) // 2)::BIGINT AS answer_pairs,
        sum(tied_pairs)::BIGINT AS tied_pairs,
        count(*) AS groups,
        count(*) FILTER (WHERE flat) AS flat,
        count(*) FILTER (WHERE best_shared) AS best_shared
    FROM groups
    GROUP BY judge_no, model_no
)

SELECT
    list_extract($judges::VARCHAR [], d.judge_no) AS judge,
    m.model,
    d.* EXCLUDE (judge_no, model_no) REPLACE (if(isfinite(d.length_correlation), d.length_correlation, NULL) AS length_correlation),
    r.ranking_accuracy,
    coalesce(r.comparisons, 0) AS comparisons,
    coalesce(t.answer_pairs, 0) AS answer_pairs,
    coalesce(t.tied_pairs, 0) AS tied_pairs,
    coalesce(t.groups, 0) AS groups,
    coalesce(t.flat, 0) AS flat,
    coalesce(t.best_shared, 0) AS best_shared
FROM described AS d
LEFT JOIN ranked AS r ON d.judge_no = r.judge_no AND d.model_no IS NOT DISTINCT FROM r.model_no
LEFT JOIN tied AS t ON d.judge_no = t.judge_no AND d.model_no IS NOT DISTINCT FROM t.model_no
LEFT JOIN (SELECT DISTINCT model_no, model FROM numbered_sources) AS m ON d.model_no = m.model_no
ORDER BY d.judge_no, m.model NULLS FIRST
