-- The rarest grams of each prompt, as many as are needed for any near prompt to share one of them (the prefix filter of
-- Bayardo, Ma and Srikant, 2007): two sets of grams that overlap enough share at least one of these.
-- Reads shared_grams (number, gram, n_prompts), sizes (number, n_grams).
--   $near  minimum Jaccard similarity
-- Returns number, gram, n_grams, rest (how many of its grams come from this one on, itself included), place (of the prompt
-- among those with this gram). A prompt that shares fewer grams than the similarity needs has no row.
WITH possible AS (
    SELECT s.number, z.n_grams, count(*) AS n_shared, ceil($near::DOUBLE * z.n_grams - 1e-9) AS n_needed
    FROM shared_grams AS s
    INNER JOIN sizes AS z ON s.number = z.number
    GROUP BY s.number, z.n_grams
    HAVING count(*) >= ceil($near::DOUBLE * z.n_grams - 1e-9)
),

ordered AS (
    SELECT
        s.number,
        s.gram,
        p.n_grams,
        p.n_needed,
        p.n_shared - row_number() OVER (PARTITION BY s.number ORDER BY s.n_prompts, s.gram) + 1 AS rest
    FROM shared_grams AS s
    INNER JOIN possible AS p ON s.number = p.number
)

SELECT number, gram, n_grams, rest, row_number() OVER (PARTITION BY gram ORDER BY number) AS place
FROM ordered
WHERE rest >= n_needed
