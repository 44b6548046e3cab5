-- What came, went and changed, pairs before demos.
-- Reads pair_changes, demo_changes.
--   $most  at most so many; NULL: all
-- Gives phase (dpo, sft), prompt_id, model, change, chosen_id, rejected_id, margin, and these three of after (`_new`); a demo has the id
-- of its answer as chosen_id.
SELECT 'dpo' AS phase, *
FROM pair_changes
UNION ALL BY NAME
SELECT 'sft' AS phase, prompt_id, change, response_id AS chosen_id, response_id_new AS chosen_id_new
FROM demo_changes
ORDER BY phase, change, prompt_id, model, chosen_id, chosen_id_new
LIMIT $most
