-- A few prompts per reason with what they met, to look at.
-- Reads prompts, overlaps.
--   $most  maximum number per reason
-- Returns reason, prompt_id, prompt, met, met_prompt (if what it met is a prompt, too), share, text (in common). Of kept
-- prompts these are the nearest; of dropped ones an arbitrary sample, by a stable hash.
WITH texts AS (
    SELECT
        prompt_id,
        dropped,
        array_to_string([turn.content FOR turn IN messages IF turn.role = 'user'], chr(10)) AS text
    FROM prompts
)

SELECT o.reason, o.prompt_id, p.text AS prompt, o.met, m.text AS met_prompt, o.share, o.text
FROM overlaps AS o
INNER JOIN texts AS p ON o.prompt_id = p.prompt_id
LEFT JOIN texts AS m ON o.met = m.prompt_id AND o.reason IN ('duplicate', 'near duplicate')
WHERE p.dropped IS NULL OR p.dropped = o.reason
QUALIFY row_number() OVER (PARTITION BY o.reason ORDER BY if(p.dropped IS NULL, -o.share, 0), md5(o.prompt_id || o.met)) <= $most
ORDER BY p.dropped IS NULL, o.reason, o.share DESC NULLS LAST, o.prompt_id
