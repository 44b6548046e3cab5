-- Dropped prompts with what they met, one page at a time.
-- Reads prompts, overlaps.
--   $reason  one reason, or NULL for all
--   $after   the last prompt_id of the previous page, or ''
--   $most    rows per page
-- Returns prompt_id, messages, reason, met (a list of {reason, met, share, text, messages}, the largest share first), total.
WITH named AS (
    SELECT prompt_id, messages, dropped AS reason
    FROM prompts
    WHERE dropped IS NOT NULL AND ($reason IS NULL OR dropped = $reason)
),

shown AS (
    SELECT *, (SELECT count(*) FROM named) AS total
    FROM named
    WHERE prompt_id > $after
    ORDER BY prompt_id
    LIMIT $most
)

SELECT
    s.prompt_id,
    s.messages,
    s.reason,
    coalesce(
        list({'reason': o.reason, 'met': o.met, 'share': o.share, 'text': o.text, 'messages': m.messages} ORDER BY o.share DESC)
            FILTER (WHERE o.prompt_id IS NOT NULL),
        []
    ) AS met,
    s.total
FROM shown AS s
LEFT JOIN overlaps AS o ON s.prompt_id = o.prompt_id
LEFT JOIN prompts AS m ON o.met = m.prompt_id AND o.reason IN ('duplicate', 'near duplicate')
GROUP BY s.prompt_id, s.messages, s.reason, s.total
ORDER BY s.prompt_id
