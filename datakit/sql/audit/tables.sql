-- How many rows each table has.
-- Reads all tables, answers, current_failures, current_flags. No parameters.
-- Returns name, n_rows (stored), n_current (those that the current recipe, verifier and judge read), n_repeated: rows
-- beyond one per key (0 unless the files were tampered with; failures keep every attempt).
SELECT
    'prompts' AS name,
    count(*) AS n_rows,
    count(*) FILTER (WHERE dropped IS NULL) AS n_current,
    count(*) - count(DISTINCT prompt_id) AS n_repeated
FROM prompts
UNION ALL
SELECT 'overlaps', count(*), count(*), count(*) - count(DISTINCT (prompt_id, reason, met))
FROM "overlaps"
UNION ALL
SELECT 'sources', count(*), count(*), count(*) - count(DISTINCT (model, revision, sampling))
FROM sources
UNION ALL
SELECT 'responses', count(*), (SELECT count(*) FROM answers), count(*) - count(DISTINCT response_id)
FROM responses
UNION ALL
SELECT
    'verdicts',
    count(*),
    (SELECT count(outcome) FROM answers),
    count(*) - count(DISTINCT (response_id, verifier, reference_digest))
FROM verdicts
UNION ALL
SELECT 'scores', count(*), (SELECT count(score) FROM answers), count(*) - count(DISTINCT (response_id, judge))
FROM scores
UNION ALL
SELECT 'demos', count(*), count(*), count(*) - count(DISTINCT (prompt_id, response_id))
FROM demos
UNION ALL
SELECT 'pairs', count(*), count(*), count(*) - count(DISTINCT (prompt_id, model))
FROM pairs
UNION ALL
SELECT 'failures', count(*), (SELECT count(*) FROM current_failures), 0
FROM failures
UNION ALL
SELECT 'flags', count(*), (SELECT count(*) FROM current_flags), 0
FROM flags
