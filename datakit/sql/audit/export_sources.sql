-- How many rows of an export each source model gave.
-- Reads exported (the rows of train.parquet). No parameters. Gives model, n_rows.
SELECT model, count(*) AS n_rows
FROM exported
GROUP BY model
ORDER BY model
