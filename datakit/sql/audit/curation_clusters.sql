-- Groups of prompts that repeat one prompt, which is kept.
-- Reads overlaps. No parameters.
-- Returns met (the prompt that is kept), prompts (that repeat it), near (how many of them are near copies only); the largest
-- five.
SELECT met, count(*) AS prompts, count(*) FILTER (WHERE reason = 'near duplicate') AS near
FROM overlaps
WHERE reason IN ('duplicate', 'near duplicate')
GROUP BY met
ORDER BY prompts DESC, met
LIMIT 5
