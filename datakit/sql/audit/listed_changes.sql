-- Pairs and demos that came, went or changed; pairs first.
-- Reads pair_changes, demo_changes.
--   $most  maximum number of rows; NULL: all
-- Returns phase (dpo, sft), prompt_id, model, change, chosen_id, rejected_id, margin, and these three after the change
-- (`_new`); for a demo, chosen_id is the id of its answer.
SELECT 'dpo' AS phase, *
FROM pair_changes
UNION ALL BY NAME
SELECT 'sft' AS phase, prompt_id, change, response_id AS chosen_id, response_id_new AS chosen_id_new
FROM demo_changes
ORDER BY phase, change, prompt_id, model, chosen_id, chosen_id_new
LIMIT $most
