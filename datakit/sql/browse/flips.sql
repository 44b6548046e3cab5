-- Prompts that one contestant got right and another did not, one page at a time.
-- Reads browsed_answers (index_answers.sql), browsed_prompts.
--   $better, $worse  the numbers of the two contestants
--   $after           the last prompt_no of the previous page, or 0
--   $most            rows per page
-- Returns prompt_no, prompt_id, where the prompt is stored, total, and the first such answer of each, `right` and `wrong`: rows
-- of browsed_answers with response_id.
WITH sides AS (
    SELECT
        prompt_no,
        min(id) FILTER (WHERE contestant_no = $better AND outcome = 'passed') AS right_no,
        count(*) FILTER (WHERE contestant_no = $worse AND outcome = 'passed') AS n_right,
        min(id) FILTER (WHERE contestant_no = $worse AND outcome <> 'passed') AS wrong_no
    FROM browsed_answers
    WHERE contestant_no IN ($better, $worse)
    GROUP BY prompt_no
),

flipped AS (
    SELECT prompt_no, right_no, wrong_no FROM sides WHERE right_no IS NOT NULL AND wrong_no IS NOT NULL AND n_right = 0
),

shown AS (
    SELECT *, (SELECT count(*) FROM flipped) AS total
    FROM flipped
    WHERE prompt_no > $after
    ORDER BY prompt_no
    LIMIT $most
),

named AS (
    SELECT *, id_text(id) AS response_id
    FROM browsed_answers
    WHERE prompt_no IN (SELECT prompt_no FROM shown)
)

SELECT s.prompt_no, p.prompt_id, p.part, p.row, s.total, g AS "right", w AS "wrong"
FROM shown AS s
INNER JOIN browsed_prompts AS p ON s.prompt_no = p.prompt_no
INNER JOIN named AS g ON s.prompt_no = g.prompt_no AND s.right_no = g.id
INNER JOIN named AS w ON s.prompt_no = w.prompt_no AND s.wrong_no = w.id
ORDER BY s.prompt_no
