-- The fate of every answer to a prompt, best answer first.
-- Reads browsed_answers (index_answers.sql), browsed (index_pairs.sql), browsed_prompts, browsed_models, demos.
--   $prompt_id  the prompt
--   $verified   answers were verified
--   $wrong      outcomes that count as wrong
-- Returns the columns of browsed_answers, with names for numbers, and `fate`: chosen, rejected, demo, or the rule that excluded
-- it.
WITH asked AS (
    SELECT prompt_no FROM browsed_prompts WHERE prompt_id = $prompt_id
),

candidates AS (
    SELECT chosen_no, rejected_no, lost FROM browsed WHERE prompt_no = (SELECT prompt_no FROM asked)
),

used AS (
    SELECT chosen_no AS id, if(lost IS NULL, 'chosen', 'best right answer: ' || lost) AS fate FROM candidates
    UNION ALL
    SELECT rejected_no, if(lost IS NULL, 'rejected', 'worst wrong answer: ' || lost) FROM candidates
    UNION ALL
    SELECT id_number(response_id), 'demo' FROM demos WHERE prompt_id = $prompt_id
)

SELECT
    a.* EXCLUDE (id, model_no, prompt_no),
    id_text(a.id) AS response_id,
    m.model,
    CASE
        WHEN list_contains(u.fates, 'chosen') THEN 'chosen'
        WHEN list_contains(u.fates, 'rejected') THEN 'rejected'
        WHEN list_contains(u.fates, 'demo') THEN 'demo'
        WHEN a.repeated THEN 'repeated text'
        WHEN a.fault IS NOT NULL THEN 'left out: ' || a.fault
        WHEN a.dropped THEN 'residue: ' || a.residue
        WHEN NOT a.answered THEN 'a thought without an answer'
        WHEN $verified AND a.outcome IS NULL THEN 'no verdict'
        WHEN $verified AND a.outcome <> 'passed' AND NOT list_contains($wrong, a.outcome) THEN 'cannot judge: ' || a.outcome
        WHEN NOT a.complete THEN 'not complete: ' || coalesce(a.finish_reason, '')
        WHEN NOT a.scored THEN 'no score'
        WHEN $verified AND a.outcome = 'passed' AND NOT a.is_right THEN 'its source is right too rarely'
        WHEN u.fates IS NOT NULL THEN u.fates[1]
        WHEN a.is_right AND a.is_wrong THEN 'neither best nor worst'
        WHEN a.is_right THEN 'another right answer goes first'
        ELSE 'another wrong answer goes first'
    END AS fate
FROM browsed_answers AS a
INNER JOIN browsed_models AS m ON a.model_no = m.model_no
LEFT JOIN (SELECT id, list(fate ORDER BY fate) AS fates FROM used GROUP BY id) AS u ON a.id = u.id
WHERE a.prompt_no = (SELECT prompt_no FROM asked)
ORDER BY a.score DESC NULLS LAST, m.model, a.id
