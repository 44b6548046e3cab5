-- Samples that exist, or that failed at this time or later: lines whose results were stored before a build was killed.
-- Reads responses, failures, some_samples (response_id).
--   $since  a time with its zone
-- Returns response_id.
SELECT response_id
FROM some_samples
SEMI JOIN responses USING (response_id)
UNION
SELECT s.response_id
FROM some_samples AS s
SEMI JOIN (SELECT key FROM failures WHERE stage = 'sample' AND failures."at" >= $since::TIMESTAMPTZ) AS f ON s.response_id = f.key
