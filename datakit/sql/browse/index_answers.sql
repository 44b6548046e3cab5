-- Every answer as pages of answers need it, unordered: sorting would cost as much as all the rest. Kept as the temporary table
-- `browsed_answers`.
-- Reads answers (select/mark_answers.sql, whole), numbered_prompts, browsed_contestants, scores, judges, response_places and
-- verdict_places (store/places.py).
--   $verifier  whose verdicts count, or NULL
--   $few       `answers` holds those of one prompt only: the other answers' scores are not grouped
-- Returns one row per prompt and response: the columns of `answers`, `answered` (there is more than a thought), `by_judge`
-- (with several judges their scores, in the order of the judges' names; else NULL), and where its text and its verdict are
-- stored.
WITH named AS (
    SELECT judge, row_number() OVER (ORDER BY judge) AS place, count(*) OVER () AS n_judges FROM judges
),

judged AS (
    SELECT
        id_number(s.response_id) AS id,
        list(n.place) AS places,
        list(s.score) AS found,
        [found[list_position(places, i)] FOR i IN range(1, any_value(n.n_judges) + 1)] AS by_judge
    FROM scores AS s
    INNER JOIN named AS n ON s.judge = n.judge
    WHERE n.n_judges > 1 AND (NOT $few OR id_number(s.response_id) IN (SELECT id FROM answers))
    GROUP BY id_number(s.response_id)
),

verdict AS (
    SELECT id_number(response_id) AS id, reference_digest, part, row FROM verdict_places WHERE verifier = $verifier
)

SELECT
    a.prompt_no,
    a.model_no,
    c.contestant_no,
    a.id,
    a.outcome,
    a.fault,
    a.residue,
    a.score,
    j.by_judge,
    a.n_chars,
    a.n_tokens,
    a.finish_reason,
    a.text_hash IS NOT NULL AS answered,
    a.complete,
    a.repeated,
    a.dropped,
    a.scored,
    a.is_right,
    a.is_wrong,
    t.part,
    t.row,
    v.part AS verdict_part,
    v.row AS verdict_row
FROM answers AS a
INNER JOIN numbered_prompts AS p ON a.prompt_no = p.prompt_no
INNER JOIN browsed_contestants AS c ON a.source_no = c.source_no
LEFT JOIN judged AS j ON a.id = j.id
LEFT JOIN (SELECT id_number(response_id) AS id, part, row FROM response_places) AS t ON a.id = t.id
LEFT JOIN verdict AS v ON a.id = v.id AND p.reference_digest = v.reference_digest
