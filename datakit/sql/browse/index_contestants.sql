-- The contestants that are compared: models, or each revision of a name that was served in several (as models under test are).
-- Kept as the temporary table `browsed_contestants`.
-- Reads numbered_sources. No parameters.
-- Returns source_no, contestant_no, contestant (its name).
WITH named AS (
    SELECT
        source_no,
        model,
        revision,
        count(DISTINCT coalesce(revision, '')) OVER (PARTITION BY model) AS n_revisions
    FROM numbered_sources
)

SELECT
    source_no,
    dense_rank() OVER (ORDER BY model, if(n_revisions > 1, revision, NULL))::USMALLINT AS contestant_no,
    if(n_revisions > 1, concat(coalesce(revision, 'no revision'), ' (', model, ')'), model) AS contestant
FROM named
