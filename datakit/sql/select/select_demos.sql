-- SFT demos: the right answers with the highest scores, over all source models. These are the scores that select pairs, without
-- what length adds to them if the rule removes it; the column `score` is the judge's.
-- Reads valued (value_answers.sql), pair_candidates (select_pairs.sql), placed (place_prompts.sql), numbered_prompts.
--   $split       hash: the prompts of `placed`; share: those that select_pairs gave to SFT; pairs_first: every prompt without a
--                pair
--   $per_prompt  maximum number of different texts per prompt, from any source; NULL: all
--   $allowed     answers may be demos; FALSE if nothing has judged them
-- Returns prompt_id, response_id, score, the best of each prompt first. A prompt serves one phase; ties are broken by id.
-- Prompts are filtered first, as there are fewer of them than of answers.
WITH shown AS (
    SELECT prompt_no, prompt_id
    FROM numbered_prompts
    WHERE
        $allowed
        AND CASE $split
            WHEN 'hash' THEN prompt_no IN (SELECT prompt_no FROM placed)
            WHEN 'share' THEN prompt_no IN (SELECT prompt_no FROM pair_candidates WHERE lost = 'serves SFT')
            ELSE prompt_no NOT IN (SELECT prompt_no FROM pair_candidates WHERE lost IS NULL)
        END
),

different AS (
    SELECT prompt_no, min({'place': -coalesce(value, '-inf'::DOUBLE), 'id': id, 'score': score}) AS answer
    FROM valued
    SEMI JOIN shown USING (prompt_no)
    WHERE may_be_demo
    GROUP BY prompt_no, if($per_prompt = 1, 0, text_hash)  -- with one per prompt no texts are compared
)

SELECT p.prompt_id, id_text(d.answer.id) AS response_id, d.answer.score AS score
FROM different AS d
INNER JOIN shown AS p ON d.prompt_no = p.prompt_no
QUALIFY coalesce(row_number() OVER (PARTITION BY d.prompt_no ORDER BY d.answer) <= $per_prompt, TRUE)
ORDER BY d.prompt_no, d.answer
