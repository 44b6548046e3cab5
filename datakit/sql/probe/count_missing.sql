-- How many texts a model still has to read (n: as many as missing_texts.sql returns), and how many it has read (n_there).
-- Reads probed_texts (probe/texts.sql), distributions, failures.
--   $model, $revision, $reading, $by_author, $retry_failures  as in missing_texts.sql
SELECT
    count(*) FILTER (d.text_id IS NULL AND f.key IS NULL) AS n,
    count(d.text_id) AS n_there
FROM probed_texts AS t
LEFT JOIN distributions AS d
    ON
        t.text_id = d.text_id
        AND d.model = $model
        AND d.revision IS NOT DISTINCT FROM $revision
        AND d.reading = $reading
LEFT JOIN (
    SELECT DISTINCT key FROM failures WHERE stage = 'probe' AND source = $model AND permanent AND NOT $retry_failures
) AS f ON t.text_id = f.key
WHERE NOT $by_author OR t.author = $model
