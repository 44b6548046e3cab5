-- The failures that still stand with their prompts, one page at a time.
-- Reads current_failures, wanted_responses.
--   $cause  "stage, source: error", or NULL for all
--   $after  the last key of the previous page, or ''
--   $most   rows per page
-- Returns the columns of failures, cause, prompt_id, total.
WITH named AS (
    SELECT *, concat(stage, ', ', source, ': ', error) AS cause FROM current_failures
),

matching AS (
    SELECT * FROM named WHERE $cause IS NULL OR cause = $cause
),

shown AS (
    SELECT *, (SELECT count(*) FROM matching) AS total
    FROM matching
    WHERE concat(key, stage, source) > $after
    ORDER BY key, stage, source
    LIMIT $most
)

SELECT s.*, w.prompt_id
FROM shown AS s
LEFT JOIN (SELECT response_id, min(prompt_id) AS prompt_id FROM wanted_responses GROUP BY response_id) AS w ON s.key = w.response_id
ORDER BY s.key, s.stage, s.source
