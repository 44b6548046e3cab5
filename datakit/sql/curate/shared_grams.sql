-- The grams of prompts that at least one other prompt has, too.
-- Reads grams (number, gram), dropped (number). No parameters.
-- Returns number, gram, n_prompts.
WITH kept AS (SELECT g.number, g.gram FROM grams AS g ANTI JOIN dropped AS d ON g.number = d.number),

counted AS (SELECT gram, count(*) AS n_prompts FROM kept GROUP BY gram HAVING count(*) > 1)

SELECT k.number, k.gram, c.n_prompts
FROM kept AS k
INNER JOIN counted AS c ON k.gram = c.gram
