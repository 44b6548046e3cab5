-- Entity F1 of current responses that the judge has not scored, or whose score changed with their reference.
-- Reads value_counts, scores.
--   $verifier  the verifier's name, with its version and options
--   $judge     the judge's name
-- Returns response_id, score (2 right / (2 right + wrong + left out)), objectives ([right, wrong, left out], from which F1 over
-- many answers is computed), and has_changed: a different score is stored. Without a verdict that found values there is no row.
WITH counted AS (
    SELECT
        response_id,
        2.0 * n_right / (2 * n_right + n_wrong + n_left_out) AS score,
        [n_right, n_wrong, n_left_out]::DOUBLE[] AS objectives
    FROM value_counts
    WHERE verifier = $verifier
)

SELECT c.response_id, c.score, c.objectives, s.response_id IS NOT NULL AS has_changed
FROM counted AS c
LEFT JOIN scores AS s ON c.response_id = s.response_id AND s.judge = $judge
WHERE s.objectives IS DISTINCT FROM c.objectives
ORDER BY c.response_id
