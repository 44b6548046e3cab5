-- How many verdicts are missing (n: as many as missing_verdicts.sql returns rows), and how many exist (n_there).
-- Reads current_responses, prompts, verdicts.
--   $verifier  the verifier's name, with its version and options
WITH wanted AS (
    SELECT DISTINCT r.response_id, p.reference_digest
    FROM current_responses AS r
    INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
),

given AS (
    SELECT DISTINCT response_id, reference_digest FROM verdicts WHERE verifier = $verifier
)

SELECT
    count(*) FILTER (g.response_id IS NULL) AS n,
    count(g.response_id) AS n_there
FROM wanted AS w
LEFT JOIN given AS g ON w.response_id = g.response_id AND w.reference_digest = g.reference_digest
