-- Of identical texts of one model to one prompt one may be used, the first by id that can be; the others are `repeated`.
-- Changes answers (mark_answers.sql). No parameters.
-- Only rows whose hash is not the only one of its kind are put in order: two texts with one hash cost a sort, and change nothing.
UPDATE answers
SET repeated = TRUE, is_right = FALSE, is_wrong = FALSE, may_be_chosen = FALSE, may_be_rejected = FALSE, may_be_demo = FALSE
FROM (
    SELECT rowid AS place
    FROM answers
    WHERE
        text_hash IS NOT NULL
        AND hash(prompt_no, model_no, text_hash) IN (
            SELECT hash(prompt_no, model_no, text_hash)
            FROM answers
            WHERE text_hash IS NOT NULL
            GROUP BY ALL
            HAVING count(*) > 1
        )
    QUALIFY row_number() OVER (PARTITION BY prompt_no, model_no, text_hash ORDER BY standing, id) > 1
) AS copies
WHERE answers.rowid = copies.place
