-- How much prompts have in common with benchmark texts that share a rare 5-gram with them.
-- Reads batch_fives, batch_grams (number of the prompt, gram), rare_grams, weighed_grams (of the texts), texts (number,
-- n_tokens, weight). No parameters.
-- Returns number, text_number, n_shared (3-grams that both have), item_share (their weight as a share of the text's total
-- weight), prompt_share (their number as a share of the prompt's 3-grams).
WITH candidates AS (
    SELECT DISTINCT b.number, r.number AS text_number
    FROM batch_fives AS b
    INNER JOIN rare_grams AS r ON b.gram = r.gram
),

shared AS (
    SELECT c.number, c.text_number, count(*) AS n_shared, sum(w.weight) AS weight
    FROM candidates AS c
    INNER JOIN weighed_grams AS w ON c.text_number = w.number
    INNER JOIN batch_grams AS b ON c.number = b.number AND w.gram = b.gram
    GROUP BY c.number, c.text_number
),

sizes AS (SELECT number, count(*) AS n_grams FROM batch_grams GROUP BY number)

SELECT
    s.number,
    s.text_number,
    s.n_shared,
    least(s.weight / t.weight, 1) AS item_share,
    s.n_shared / n.n_grams AS prompt_share
FROM shared AS s
INNER JOIN texts AS t ON s.text_number = t.number
INNER JOIN sizes AS n ON s.number = n.number
