-- Of identical texts from one model to one prompt only one may be used: that with the lowest claim, then the lowest id. The
-- others are `repeated`.
-- Changes answers (mark_answers.sql). No parameters.
-- Almost nothing is sorted: only the answers of a prompt and model in which two hashes fall into the same one of 64 slots, and
-- of these only rows whose hash occurs twice. Different texts with the same slot, or the same hash, cost time and change
-- nothing.
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
