-- What curation met, by reason.
-- Reads prompts, overlaps. No parameters.
-- Gives reason, prompts, drops: of a reason that drops how many prompts it dropped, of another (near, template) how many kept ones
-- it was met by.
SELECT o.reason, count(DISTINCT p.prompt_id) AS prompts, p.dropped IS NOT NULL AS drops
FROM overlaps AS o
INNER JOIN prompts AS p ON o.prompt_id = p.prompt_id
WHERE p.dropped IS NULL OR p.dropped = o.reason
GROUP BY o.reason, drops
ORDER BY drops DESC, prompts DESC, o.reason
