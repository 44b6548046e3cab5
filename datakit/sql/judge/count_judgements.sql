-- How many judgements of one judge are wanted and missing (n), and how many exist (n_there).
-- Reads wanted_judgements, judgements, failures.
--   $judge           the judge's name
--   $retry_failures  also count what failed permanently
SELECT
    count(*) FILTER (j.judgement_id IS NULL AND f.key IS NULL) AS n,
    count(j.judgement_id) AS n_there
FROM wanted_judgements AS w
LEFT JOIN judgements AS j ON w.judgement_id = j.judgement_id
LEFT JOIN (
    SELECT DISTINCT key FROM failures WHERE stage = 'judge' AND source = $judge AND permanent AND NOT $retry_failures
) AS f
    ON w.judgement_id = f.key
