-- The funnel from prompts to pairs: how many prompts reach each step, and why the others do not.
-- Reads prompts, numbered_prompts, answers, audit_missing, audit_closest, excluded (select/find_excluded.sql).
--   $verified, $wrong  as in answers.sql
-- Returns six rows in order: step, prompts that reach it, and `lost`, a list of {reason, prompts} for the prompts that reached
-- the step before but not this one. The steps:
--   read, kept (neither dropped nor flagged), answered, judged (a right and a wrong answer), candidates (both may be in one
--   pair), paired
WITH answered AS (
    SELECT prompt_no, bool_or(is_right) AS has_right, bool_or(is_wrong) AS has_wrong, bool_or(complete) AS has_complete,
        bool_or(complete AND NOT dropped) AS has_usable,
        bool_or($verified AND outcome = 'passed' AND scored AND complete AND NOT dropped AND NOT repeated AND fault IS NULL) AS has_passed,
        bool_or(is_right OR was_usable AND (NOT $verified OR outcome = 'passed')) AS had_right,
        bool_or(is_wrong OR was_usable AND (NOT $verified OR list_contains($wrong, outcome))) AS had_wrong
    FROM (SELECT *, fault = 'flagged' AND scored AND NOT repeated AND complete AND NOT dropped AS was_usable FROM answers)
    GROUP BY prompt_no
),

unanswered AS (
    SELECT
        prompt_no,
        CASE
            WHEN bool_or(state = 'pending') THEN 'not asked yet'
            WHEN bool_or(state = 'failed') THEN 'every request failed'
            ELSE 'no response in the imported files'
        END AS reason
    FROM audit_missing
    GROUP BY prompt_no
),

placed AS (
    SELECT
        CASE
            WHEN p.dropped IS NOT NULL OR x.prompt_id IS NOT NULL THEN 1
            WHEN a.prompt_no IS NULL THEN 2
            WHEN NOT (a.has_right AND a.has_wrong) THEN 3
            WHEN c.paired THEN 6
            WHEN c.lost IN ('nothing to judge by', 'no right answer', 'no wrong answer', 'only one answer', 'same text') THEN 4
            ELSE 5
        END AS n_steps,
        CASE n_steps
            WHEN 1 THEN coalesce(p.dropped, 'flagged')
            WHEN 2 THEN coalesce(u.reason, 'not asked yet')
            WHEN 3 THEN CASE
                WHEN a.had_right AND a.had_wrong THEN 'flagged'
                WHEN NOT a.has_complete THEN 'only answers that are not complete'
                WHEN NOT a.has_usable THEN 'only answers with residue'
                WHEN NOT a.has_right AND NOT a.has_wrong THEN 'nothing to judge by'
                WHEN NOT a.has_right AND a.has_passed THEN 'sources are right too rarely'
                WHEN a.has_wrong THEN 'no right answer'
                ELSE 'no wrong answer'
            END
            WHEN 4 THEN if(c.lost IN ('no right answer', 'no wrong answer'), 'right and wrong in different sources', c.lost)
            WHEN 5 THEN c.lost
        END AS reason
    FROM prompts AS p
    LEFT JOIN numbered_prompts AS n ON p.prompt_id = n.prompt_id
    LEFT JOIN answered AS a ON n.prompt_no = a.prompt_no
    LEFT JOIN unanswered AS u ON n.prompt_no = u.prompt_no
    LEFT JOIN audit_closest AS c ON n.prompt_no = c.prompt_no
    LEFT JOIN excluded AS x ON p.prompt_id = x.prompt_id AND x.target = 'prompt'
),

losses AS (
    SELECT n_steps + 1 AS place, reason, count(*) AS prompts
    FROM placed
    WHERE n_steps < 6
    GROUP BY n_steps, reason
),

steps (place, step) AS (
    VALUES (1, 'read'), (2, 'kept'), (3, 'answered'), (4, 'judged'), (5, 'candidates'), (6, 'paired')
)

SELECT
    s.step,
    (SELECT count(*) FROM placed WHERE n_steps >= s.place) AS prompts,
    coalesce(
        (
            SELECT list({'reason': l.reason, 'prompts': l.prompts} ORDER BY l.prompts DESC, l.reason)
            FROM losses AS l
            WHERE l.place = s.place
        ),
        []
    ) AS lost
FROM steps AS s
ORDER BY s.place
