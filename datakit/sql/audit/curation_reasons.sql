-- What curation found, by reason.
-- Reads prompts, overlaps. No parameters.
-- Returns reason, prompts, drops. For a reason that drops, `prompts` is how many prompts it dropped; for the others (near,
-- template), how many of the kept prompts it applies to.
SELECT o.reason, count(DISTINCT p.prompt_id) AS prompts, p.dropped IS NOT NULL AS drops
FROM overlaps AS o
INNER JOIN prompts AS p ON o.prompt_id = p.prompt_id
WHERE p.dropped IS NULL OR p.dropped = o.reason
GROUP BY o.reason, drops
ORDER BY drops DESC, prompts DESC, o.reason
