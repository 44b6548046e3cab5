-- The failures that still stand: the last one of each missing row that the current recipe wants, of its judges only.
-- Reads failures, wanted_responses, responses, scores, judges. No parameters. Gives the columns of failures.
SELECT f.*
FROM failures AS f
SEMI JOIN wanted_responses AS w ON f.key = w.response_id
WHERE
    CASE f.stage
        WHEN 'sample' THEN f.key NOT IN (SELECT response_id FROM responses)
        WHEN 'score' THEN
            f.source IN (SELECT judge FROM judges)
            AND (f.key, f.source) NOT IN (SELECT (response_id, judge) FROM scores)
        ELSE TRUE
    END
QUALIFY row_number() OVER (PARTITION BY f.stage, f.key, f.source ORDER BY f.at DESC) = 1
