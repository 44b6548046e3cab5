-- Pairs of prompts that may be near: they share one of their rarest grams, are of similar size, and have enough grams from that
-- one on.
-- Reads rarest_grams (number, gram, n_grams, rest, place).
--   $near   minimum Jaccard similarity
--   $most   if more prompts than this have a gram, each is compared with the first $most of them only
-- Returns met (the earlier one), number. This is a statement of its own because joined with near_pairs.sql the join order is
-- worse.
SELECT DISTINCT a.number AS met, b.number
FROM rarest_grams AS a
INNER JOIN rarest_grams AS b ON a.gram = b.gram AND a.number < b.number
WHERE
    a.place <= $most
    AND least(a.n_grams, b.n_grams) >= $near::DOUBLE * greatest(a.n_grams, b.n_grams) - 1e-9
    AND least(a.rest, b.rest) >= $near::DOUBLE / (1 + $near::DOUBLE) * (a.n_grams + b.n_grams) - 1e-9
