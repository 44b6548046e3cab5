-- The prompts that have answers, by number, and where they are stored. Kept as the temporary table `browsed_prompts`.
-- Reads numbered_prompts, prompt_places (store/places.py). No parameters.
SELECT n.prompt_no, n.prompt_id, p.part, p.row
FROM numbered_prompts AS n
LEFT JOIN prompt_places AS p ON n.prompt_id = p.prompt_id
ORDER BY n.prompt_no
