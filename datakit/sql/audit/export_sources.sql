-- How many rows of an export come from each source model.
-- Reads exported (the rows of train.parquet). No parameters. Returns model, n_rows.
SELECT model, count(*) AS n_rows
FROM exported
GROUP BY model
ORDER BY model
