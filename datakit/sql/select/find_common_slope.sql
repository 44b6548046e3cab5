-- The sums from which the slope of scores on the logarithm of the answers' characters is computed, with the means of prompts
-- and of source models removed (two-way fixed effects), whatever answers are missing.
-- Reads answers (mark_answers.sql): those that may be in a pair. No parameters.
-- Returns one row for each two models: model_no, other_no, weight (the element of the models' normal matrix after the prompts'
-- means are removed), and x, y (sums of lengths and of scores about the prompts' means), sxx, sxy (over all answers); x, y, sxx
-- and sxy are equal in all rows of a model.
WITH cells AS (
    SELECT
        prompt_no,
        model_no,
        count(*) AS n,
        sum(ln(greatest(n_chars, 1))) AS x,
        sum(score) AS y
    FROM answers
    WHERE (may_be_chosen OR may_be_rejected) AND isfinite(score)
    GROUP BY prompt_no, model_no
),

prompts AS (
    SELECT
        prompt_no,
        count(*) AS n,
        avg(ln(greatest(n_chars, 1))) AS x,
        avg(score) AS y,
        regr_sxx(score, ln(greatest(n_chars, 1))) AS sxx,
        regr_sxy(score, ln(greatest(n_chars, 1))) AS sxy
    FROM answers
    WHERE (may_be_chosen OR may_be_rejected) AND isfinite(score)
    GROUP BY prompt_no
),

shared AS (
    SELECT a.model_no, b.model_no AS other_no, sum(a.n * b.n / p.n) AS n
    FROM cells AS a
    INNER JOIN cells AS b ON a.prompt_no = b.prompt_no
    INNER JOIN prompts AS p ON a.prompt_no = p.prompt_no
    GROUP BY ALL
),

models AS (
    SELECT c.model_no, sum(c.n) AS n, sum(c.x - c.n * p.x) AS x, sum(c.y - c.n * p.y) AS y
    FROM cells AS c
    INNER JOIN prompts AS p ON c.prompt_no = p.prompt_no
    GROUP BY c.model_no
)

SELECT
    s.model_no,
    s.other_no,
    if(s.model_no = s.other_no, m.n, 0) - s.n AS weight,
    m.x,
    m.y,
    (SELECT sum(sxx) FROM prompts) AS sxx,
    (SELECT sum(sxy) FROM prompts) AS sxy
FROM shared AS s
INNER JOIN models AS m ON s.model_no = m.model_no
ORDER BY ALL
