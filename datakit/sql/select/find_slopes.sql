-- The sums from which the slope of scores on the logarithm of the answers' characters is computed, within prompt and source
-- model.
-- Reads answers (mark_answers.sql): those that may be in a pair.
-- No parameters.
-- Returns one row per model: model_no, sxx, sxy, syy (sums of squares and products about the mean of each prompt), n (answers),
-- groups.
WITH grouped AS (
    SELECT
        model_no,
        count(*) AS n,
        regr_sxx(score, ln(greatest(n_chars, 1))) AS sxx,
        regr_sxy(score, ln(greatest(n_chars, 1))) AS sxy,
        regr_syy(score, ln(greatest(n_chars, 1))) AS syy
    FROM answers
    WHERE (may_be_chosen OR may_be_rejected) AND isfinite(score)
    GROUP BY prompt_no, model_no
)

SELECT model_no, sum(sxx) AS sxx, sum(sxy) AS sxy, sum(syy) AS syy, sum(n)::BIGINT AS n, count(*) AS groups
FROM grouped
WHERE n > 1
GROUP BY model_no
ORDER BY model_no
