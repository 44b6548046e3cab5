-- A right answer among many wrong ones of its source may be luck, with wrong steps: it counts as neither right nor wrong.
-- Changes answers (mark_answers.sql).
--   $pass_rate_min  minimum share of right answers among the source's right and wrong answers to the prompt
UPDATE answers
SET is_right = FALSE, may_be_chosen = FALSE, may_be_demo = FALSE
FROM (
    SELECT prompt_no, model_no
    FROM answers
    WHERE passed OR failed
    GROUP BY ALL
    HAVING avg(passed::INTEGER) < $pass_rate_min
) AS lucky
WHERE answers.prompt_no = lucky.prompt_no AND answers.model_no = lucky.model_no
