-- The pairs of the rule that other rules are compared with. Kept as the temporary table `current_pairs`.
-- Reads pair_candidates (select_pairs.sql). No parameters. Returns prompt_no, chosen, rejected (numbers of id_number).
SELECT prompt_no, chosen.id AS chosen, rejected.id AS rejected
FROM pair_candidates
WHERE lost IS NULL
