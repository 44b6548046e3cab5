-- The sources with two numbers: one per source, and one per model in the order of their names, because one model may be several
-- sources.
-- Reads sources. No parameters. Returns the columns of sources, source_no, model_no.
SELECT
    *,
    row_number() OVER (ORDER BY model, revision, sampling)::USMALLINT AS source_no,
    dense_rank() OVER (ORDER BY model)::USMALLINT AS model_no
FROM sources
