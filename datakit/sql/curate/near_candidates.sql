-- Pairs of prompts that may be near: they share one of their rarest grams, are of like size, and from that gram on have enough.
-- Reads rarest_grams (number, gram, n_grams, rest, place).
--   $near   the least Jaccard similarity
--   $most   of a gram that more prompts than this have, each is held against the first so many of them only
-- Gives met (the earlier one), number. A statement of its own: in one with the count of near_pairs.sql the order of joins is worse.
SELECT DISTINCT a.number AS met, b.number
FROM rarest_grams AS a
INNER JOIN rarest_grams AS b ON a.gram = b.gram AND a.number < b.number
WHERE
    a.place <= $most
    AND least(a.n_grams, b.n_grams) >= $near::DOUBLE * greatest(a.n_grams, b.n_grams) - 1e-9
    AND least(a.rest, b.rest) >= $near::DOUBLE / (1 + $near::DOUBLE) * (a.n_grams + b.n_grams) - 1e-9
