-- Of identical texts of one model to one prompt one may be used: that with the lowest claim, the first by id. The others are `repeated`.
-- Changes answers (mark_answers.sql). No parameters.
-- Next to nothing is put in order: of the sides on which two hashes have one of 64 places, the rows whose hash is not the only one of its
-- kind. Different texts with one place, or one hash, cost time, and change nothing.
UPDATE answers
SET repeated = TRUE, is_right = FALSE, is_wrong = FALSE, may_be_chosen = FALSE, may_be_rejected = FALSE, may_be_demo = FALSE
FROM (
    WITH shared AS (
        SELECT prompt_no, model_no
        FROM answers
        WHERE text_hash IS NOT NULL
        GROUP BY ALL
        HAVING bit_count(bit_or(1::UBIGINT << (text_hash & 63))) < count(*)
    ),

    looked_at AS (
        SELECT rowid AS place, *
        FROM answers
        SEMI JOIN shared USING (prompt_no, model_no)
        WHERE text_hash IS NOT NULL
    )

    SELECT place
    FROM looked_at
    WHERE
        hash(prompt_no, model_no, text_hash) IN (
            SELECT hash(prompt_no, model_no, text_hash)
            FROM looked_at
            GROUP BY ALL
            HAVING count(*) > 1
        )
    QUALIFY row_number() OVER (PARTITION BY prompt_no, model_no, text_hash ORDER BY claim, id) > 1
) AS copies
WHERE answers.rowid = copies.place
