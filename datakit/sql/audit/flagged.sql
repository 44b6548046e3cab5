-- Flags that people put on prompts, responses and pairs, counted by target.
-- Reads current_flags. No parameters.
-- Returns prompts, responses, pairs (excluded ones); kept (targets whose last decision is keep); notes (flags with a note).
SELECT
    count(*) FILTER (WHERE decides AND flag = 'exclude' AND target = 'prompt') AS prompts,
    count(*) FILTER (WHERE decides AND flag = 'exclude' AND target = 'response') AS responses,
    count(*) FILTER (WHERE decides AND flag = 'exclude' AND target = 'pair') AS pairs,
    count(*) FILTER (WHERE decides AND flag = 'keep') AS kept,
    count(note) AS notes
FROM current_flags
