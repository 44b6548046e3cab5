-- A few candidates, by their numbers. Kept as the temporary table `picked`.
-- Reads browsed (index_pairs.sql).
--   $numbers  their numbers, in the order of the page
-- Returns the columns of browsed, and `place` on the page.
SELECT b.*, w.place
FROM (SELECT unnest($numbers::INTEGER []) AS n, generate_subscripts($numbers::INTEGER [], 1) AS place) AS w
INNER JOIN browsed AS b ON w.n = b.n
