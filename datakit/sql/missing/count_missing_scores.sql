-- How many wanted responses of a share of the prompts the judge has not scored: all that missing_scores.sql gives the ids of.
-- Reads wanted_responses, responses, scores, failures.
--   $judge           the judge's name, with its revision
--   $retry_failures  count also what failed for good
--   $share           which share, from 0
--   $n_shares        of how many
WITH wanted AS (
    SELECT DISTINCT response_id
    FROM wanted_responses
    WHERE hash(messages_digest) % $n_shares = $share
)

SELECT count(*) AS n
FROM responses AS r
INNER JOIN wanted AS w ON r.response_id = w.response_id
ANTI JOIN scores AS s ON r.response_id = s.response_id AND s.judge = $judge
WHERE
    r.text IS NOT NULL
    AND (
        $retry_failures
        OR r.response_id NOT IN (
            SELECT f.key FROM failures AS f WHERE f.stage = 'score' AND f.source = $judge AND f.permanent
        )
    )
