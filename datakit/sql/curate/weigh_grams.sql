-- The 3-grams of benchmark texts, weighted by how rare they are among the items.
-- Reads text_grams (number of the text, gram), texts (number, item). No parameters.
-- Returns number, gram, weight: ln(1 + items / items with this gram). Only items are counted, so that the verdict on a prompt
-- does not depend on the other prompts.
WITH counted AS (
    SELECT g.gram, count(DISTINCT t.item) AS n_items
    FROM text_grams AS g
    INNER JOIN texts AS t ON g.number = t.number
    GROUP BY g.gram
)

SELECT g.number, g.gram, ln(1 + (SELECT count(DISTINCT item) FROM texts) / c.n_items) AS weight
FROM text_grams AS g
INNER JOIN counted AS c ON g.gram = c.gram
