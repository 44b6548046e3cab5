-- What people say of prompts, responses and pairs (flags), counted by target.
-- Reads current_flags. No parameters.
-- Gives prompts, responses, pairs: excluded ones; kept: targets of which the last word is keep; notes: flags that say something.
SELECT
    count(*) FILTER (WHERE decides AND flag = 'exclude' AND target = 'prompt') AS prompts,
    count(*) FILTER (WHERE decides AND flag = 'exclude' AND target = 'response') AS responses,
    count(*) FILTER (WHERE decides AND flag = 'exclude' AND target = 'pair') AS pairs,
    count(*) FILTER (WHERE decides AND flag = 'keep') AS kept,
    count(note) AS notes
FROM current_flags
