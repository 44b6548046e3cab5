-- The mean length of a source's answers, as far as the run has any with a token count.
-- Reads responses.
--   $model, $revision, $sampling  the source
-- Returns one row: n_responses, mean_tokens (null if nothing was counted).
SELECT count(*) AS n_responses, avg(n_tokens) AS mean_tokens
FROM responses
WHERE model = $model AND revision IS NOT DISTINCT FROM $revision AND sampling = $sampling
