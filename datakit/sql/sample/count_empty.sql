-- How often a sample came without text: the seed of the next line that asks for it is another one.
-- Reads failures. No parameters. Gives key (a response_id) and n.
SELECT key, count(*) AS n
FROM failures
WHERE stage = 'sample' AND error = 'empty'
GROUP BY key
