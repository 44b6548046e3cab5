-- What the responses can be used for, or why they cannot be used.
-- Reads answers.
--   $verified  answers were verified (if not, every scored answer may be chosen or rejected: 'usable')
--   $wrong     outcomes that count as wrong
-- Returns use, responses: each response counts once, under the first reason that holds.
SELECT
    CASE
        WHEN repeated THEN 'repeated text'
        WHEN fault IS NOT NULL THEN 'left out: ' || fault
        WHEN is_right OR is_wrong THEN if($verified, if(is_right, 'right', 'wrong'), 'usable')
        WHEN dropped THEN 'residue: ' || residue
        WHEN text_hash IS NULL THEN 'a thought without an answer'
        WHEN $verified AND outcome IS NULL THEN 'no verdict'
        WHEN $verified AND outcome <> 'passed' AND NOT list_contains($wrong, outcome) THEN 'cannot judge: ' || outcome
        WHEN NOT complete THEN 'not complete: ' || finish_reason
        WHEN $verified AND outcome = 'passed' AND scored THEN 'its source is right too rarely'
        ELSE 'no score'
    END AS use,
    count(*) AS responses
FROM answers
GROUP BY use
ORDER BY list_position(['right', 'wrong', 'usable'], use) NULLS LAST, responses DESC, use
