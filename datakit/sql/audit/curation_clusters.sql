-- Groups of prompts of which one stays and the others repeat it.
-- Reads overlaps. No parameters.
-- Gives met (the prompt that stays), prompts (that repeat it), near (how many of them only nearly); the largest five.
SELECT met, count(*) AS prompts, count(*) FILTER (WHERE reason = 'near duplicate') AS near
FROM overlaps
WHERE reason IN ('duplicate', 'near duplicate')
GROUP BY met
ORDER BY prompts DESC, met
LIMIT 5
