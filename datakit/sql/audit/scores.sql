-- Statistics of the judge's scores.
-- Reads answers.
--   $judge  name of the judge that selects, or NULL for none
-- Returns one row: scored, unscored, non_finite, length_correlation (Pearson, score and characters).
WITH described AS (
    SELECT
        count(*) FILTER (WHERE isfinite(score)) AS scored,
        count(*) FILTER (WHERE NOT scored AND score IS NULL AND text_hash IS NOT NULL) AS unscored,
        count(*) FILTER (WHERE NOT isfinite(score)) AS non_finite,
        corr(score, n_chars) FILTER (WHERE isfinite(score)) AS length_correlation
    FROM answers
)

SELECT
    scored,
    if($judge IS NULL, NULL, unscored) AS unscored,
    non_finite,
    if(isfinite(length_correlation), length_correlation, NULL) AS length_correlation
FROM described
