-- How many wanted responses in one share of the prompts the judge has not scored (n: as many ids as missing_scores.sql
-- returns), and how many it has (n_there).
-- Reads wanted_responses, responses, scores, failures.
--   $judge           the judge's name, with its revision
--   $retry_failures  also count what failed permanently
--   $share           number of the share, from 0
--   $n_shares        number of shares
WITH wanted AS (
    SELECT DISTINCT response_id
    FROM wanted_responses
    WHERE hash(messages_digest) % $n_shares = $share
),

scored AS (
    SELECT DISTINCT response_id FROM scores WHERE judge = $judge
)

SELECT
    count(*) FILTER (s.response_id IS NULL AND f.key IS NULL) AS n,
    count(s.response_id) AS n_there
FROM responses AS r
INNER JOIN wanted AS w ON r.response_id = w.response_id
LEFT JOIN scored AS s ON r.response_id = s.response_id
LEFT JOIN (
    SELECT DISTINCT key FROM failures WHERE stage = 'score' AND source = $judge AND permanent AND NOT $retry_failures
) AS f
    ON r.response_id = f.key
WHERE r.text IS NOT NULL
