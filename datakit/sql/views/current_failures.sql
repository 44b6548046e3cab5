-- The failures that still stand: the last one of each missing row that the current recipe wants, from current judges and
-- reading models only. Failed judgements are attributed to their judge.
-- Reads failures, wanted_responses, responses, scores, judgements, judges, readings, distributions. No parameters.
-- Returns the columns of failures.
-- Of the wanted and existing rows only those with failures are kept: these are few; all of them may be more than memory holds.
WITH failed AS (
    SELECT DISTINCT key FROM failures
),

wanted AS (
    SELECT response_id FROM wanted_responses WHERE response_id IN (SELECT key FROM failed)
),

there AS (
    SELECT response_id FROM responses WHERE response_id IN (SELECT key FROM failed)
),

scored AS (
    SELECT response_id, judge FROM scores WHERE response_id IN (SELECT key FROM failed)
),

read AS (
    SELECT text_id, model FROM distributions WHERE text_id IN (SELECT key FROM failed)
)

SELECT f.*
FROM failures AS f
WHERE
    CASE f.stage
        WHEN 'probe' THEN TRUE
        WHEN 'judge' THEN
            f.source IN (SELECT judge FROM judges)
            AND f.key NOT IN (SELECT judgement_id FROM judgements WHERE judgement_id IN (SELECT key FROM failed))
        ELSE f.key IN (SELECT response_id FROM wanted)
    END
    AND CASE f.stage
        WHEN 'sample' THEN f.key NOT IN (SELECT response_id FROM there)
        WHEN 'score' THEN
            f.source IN (SELECT judge FROM judges)
            AND (f.key, f.source) NOT IN (SELECT (response_id, judge) FROM scored)
        WHEN 'probe' THEN
            f.source IN (SELECT model FROM readings)
            AND (f.key, f.source) NOT IN (SELECT (text_id, model) FROM read)
        ELSE TRUE
    END
QUALIFY row_number() OVER (PARTITION BY f.stage, f.key, f.source ORDER BY f.at DESC) = 1
