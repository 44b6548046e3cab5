-- A few candidates, by their numbers. Kept as the temporary table `picked`.
-- Reads browsed (index_pairs.sql).
--   $numbers  in the order of the page
-- Gives the columns of browsed, and `place` in the page.
SELECT b.*, w.place
FROM (SELECT unnest($numbers::INTEGER []) AS n, generate_subscripts($numbers::INTEGER [], 1) AS place) AS w
INNER JOIN browsed AS b ON w.n = b.n
