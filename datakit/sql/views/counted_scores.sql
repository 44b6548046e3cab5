-- Entity F1 of current responses, for the judges that count what a verifier found. Part of the view `scores`, in runs with such a judge.
-- Reads value_counts, judges. No parameters.
-- Returns response_id, judge, score (2 right / (2 right + wrong + left out)) and objectives ([right, wrong, left out], by which F1 over many
-- answers is counted). Without a verdict that found values there is no row.
SELECT
    c.response_id,
    j.judge,
    2.0 * c.n_right / (2 * c.n_right + c.n_wrong + c.n_left_out) AS score,
    [c.n_right, c.n_wrong, c.n_left_out]::DOUBLE[] AS objectives
FROM value_counts AS c
INNER JOIN judges AS j ON c.verifier = j.verifier
