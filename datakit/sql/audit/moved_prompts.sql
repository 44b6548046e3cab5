-- Prompts that changed phase.
-- Reads before_pairs, before_demos, after_pairs, after_demos. No parameters.
-- Returns before, after (dpo, sft, or neither), and prompts (their number), the most frequent change first.
WITH placed AS (
    SELECT prompt_id, 'dpo' AS before, NULL AS after FROM before_pairs
    UNION ALL
    SELECT prompt_id, 'sft', NULL FROM before_demos
    UNION ALL
    SELECT prompt_id, NULL, 'dpo' FROM after_pairs
    UNION ALL
    SELECT prompt_id, NULL, 'sft' FROM after_demos
),

phases AS (
    SELECT coalesce(min(before), 'neither') AS before, coalesce(min(after), 'neither') AS after
    FROM placed
    GROUP BY prompt_id
)

SELECT before, after, count(*) AS prompts
FROM phases
WHERE before <> after
GROUP BY ALL
ORDER BY prompts DESC, before, after
