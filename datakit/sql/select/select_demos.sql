-- SFT demos: the right answer with the highest score, over all source models.
-- Reads answers (mark_answers.sql), pair_candidates (select_pairs.sql).
--   $share  TRUE: the prompts that select_pairs gave to SFT; FALSE (pairs_first): every prompt without a pair
-- Gives prompt_id, response_id, score. A prompt serves one phase; ties are broken by id.
SELECT prompt_id, response_id, score
FROM answers
WHERE
    is_right
    AND if(
        $share,
        prompt_id IN (SELECT prompt_id FROM pair_candidates WHERE lost = 'serves SFT'),
        prompt_id NOT IN (SELECT prompt_id FROM pair_candidates WHERE lost IS NULL)
    )
QUALIFY row_number() OVER (PARTITION BY prompt_id ORDER BY score DESC NULLS LAST, response_id) = 1
ORDER BY prompt_id
