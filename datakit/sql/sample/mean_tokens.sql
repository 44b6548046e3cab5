-- How long answers of a source are, as far as the run has any with a count.
-- Reads responses.
--   $model, $revision, $sampling  the source
-- Gives one row: n_responses, mean_tokens (null where nothing was counted).
SELECT count(*) AS n_responses, avg(n_tokens) AS mean_tokens
FROM responses
WHERE model = $model AND revision IS NOT DISTINCT FROM $revision AND sampling = $sampling
