-- The failures that still stand, by cause.
-- Reads current_failures. No parameters.
-- Returns stage, source (the model or the judge), error, permanent (not retried automatically), count, example (the last
-- message).
SELECT
    stage,
    source,
    error,
    permanent,
    count(*) AS count,
    arg_max(f.message, f.at) AS example
FROM current_failures AS f
GROUP BY stage, source, error, permanent
ORDER BY count DESC, stage, source, error
