-- SFT demos: the right answers with the highest scores, over all source models.
-- Reads answers (mark_answers.sql), pair_candidates (select_pairs.sql), placed (place_prompts.sql).
--   $split       hash: the prompts of `placed`; share: those that select_pairs gave to SFT; pairs_first: every prompt without a pair
--   $per_prompt  at most so many different texts a prompt, of whichever source; NULL: all
-- Gives prompt_id, response_id, score, a prompt's best first. A prompt serves one phase; ties are broken by id.
WITH serving AS (
    SELECT prompt_id, response_id, score, text_hash
    FROM answers
    WHERE
        is_right
        AND CASE $split
            WHEN 'hash' THEN prompt_id IN (SELECT prompt_id FROM placed)
            WHEN 'share' THEN prompt_id IN (SELECT prompt_id FROM pair_candidates WHERE lost = 'serves SFT')
            ELSE prompt_id NOT IN (SELECT prompt_id FROM pair_candidates WHERE lost IS NULL)
        END
),

different AS (
    SELECT *
    FROM serving
    QUALIFY row_number() OVER (PARTITION BY prompt_id, text_hash ORDER BY score DESC NULLS LAST, response_id) = 1
)

SELECT prompt_id, response_id, score
FROM different
QUALIFY coalesce(row_number() OVER (PARTITION BY prompt_id ORDER BY score DESC NULLS LAST, response_id) <= $per_prompt, TRUE)
ORDER BY prompt_id, score DESC NULLS LAST, response_id
