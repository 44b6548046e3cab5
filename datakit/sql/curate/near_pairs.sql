-- The candidates that are near, each verified over all of its grams.
-- Reads near_candidates (met, number), shared_grams (number, gram), sizes (number, n_grams).
--   $near   minimum Jaccard similarity
-- Returns met (the earlier one), number, similarity.
WITH counted AS (
    SELECT c.met, c.number, count(*) AS n_both
    FROM near_candidates AS c
    INNER JOIN shared_grams AS a ON c.met = a.number
    INNER JOIN shared_grams AS b ON c.number = b.number AND a.gram = b.gram
    GROUP BY c.met, c.number
)

SELECT o.met, o.number, o.n_both / (a.n_grams + b.n_grams - o.n_both) AS similarity
FROM counted AS o
INNER JOIN sizes AS a ON o.met = a.number
INNER JOIN sizes AS b ON o.number = b.number
WHERE o.n_both >= $near::DOUBLE * (a.n_grams + b.n_grams - o.n_both) - 1e-9
