-- The longer grams of benchmark texts that make a prompt a candidate: those that few items have.
-- Reads text_fives (number of the text, gram), texts (number, item).
--   $most_items  grams of more items than this are too common
-- Returns gram, number.
WITH counted AS (
    SELECT f.gram, count(DISTINCT t.item) AS n_items
    FROM text_fives AS f
    INNER JOIN texts AS t ON f.number = t.number
    GROUP BY f.gram
)

SELECT f.gram, f.number
FROM text_fives AS f
INNER JOIN counted AS c ON f.gram = c.gram
WHERE c.n_items <= $most_items
