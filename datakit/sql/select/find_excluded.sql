-- What people have excluded (flags): prompts, responses and pairs.
-- Reads current_flags. No parameters. Returns target, prompt_id, response_id, chosen_id, rejected_id.
SELECT target, prompt_id, response_id, chosen_id, rejected_id
FROM current_flags
WHERE decides AND flag = 'exclude'
ORDER BY ALL
