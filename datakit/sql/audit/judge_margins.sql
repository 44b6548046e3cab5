-- The margins that one judge produces, and how many of them a window keeps.
-- Reads matched (match_answers.sql with this judge).
--   $low, $high  the margin window, ends included; NULL: none
-- Returns one row: candidates (the best right and the worst wrong answer; one per prompt and source, or one per prompt with
-- any_source; before any rule about margins or lengths), below, inside, above (the window), prompts with a candidate,
-- prompts_below (all their candidates are below), prompts_inside (at least one is inside), prompts_above (the others), low,
-- high, and deciles: eleven margins from the smallest to the largest, NULL if there are none.
WITH placed AS (
    SELECT prompt_no, margin, coalesce(margin < $low, FALSE) AS is_below, coalesce(margin > $high, FALSE) AS is_above
    FROM matched
    WHERE lost IS NULL AND margin IS NOT NULL
),

prompts_placed AS (
    SELECT bool_and(is_below) AS all_below, bool_or(NOT is_below AND NOT is_above) AS one_inside
    FROM placed
    GROUP BY prompt_no
),

by_prompt AS (
    SELECT
        count(*) AS prompts,
        count(*) FILTER (WHERE all_below) AS prompts_below,
        count(*) FILTER (WHERE one_inside) AS prompts_inside
    FROM prompts_placed
)

SELECT
    count(*) AS candidates,
    count(*) FILTER (WHERE is_below) AS below,
    count(*) FILTER (WHERE NOT is_below AND NOT is_above) AS inside,
    count(*) FILTER (WHERE is_above) AS above,
    (SELECT prompts FROM by_prompt) AS prompts,
    (SELECT prompts_below FROM by_prompt) AS prompts_below,
    (SELECT prompts_inside FROM by_prompt) AS prompts_inside,
    (SELECT prompts - prompts_below - prompts_inside FROM by_prompt) AS prompts_above,
    $low::DOUBLE AS low,
    $high::DOUBLE AS high,
    quantile_cont(margin, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]) AS deciles
FROM placed
