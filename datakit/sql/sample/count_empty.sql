-- How often a sample came back without text: the next request for it gets a different seed.
-- Reads failures. No parameters. Returns key (a response_id) and n.
SELECT key, count(*) AS n
FROM failures
WHERE stage = 'sample' AND error = 'empty'
GROUP BY key
