-- The tokens that judgements took, by judge.
-- Reads judgements. No parameters.
-- Returns judge, prompt_tokens, completion_tokens.
SELECT
    judge,
    coalesce(sum(n_prompt_tokens), 0)::BIGINT AS prompt_tokens,
    coalesce(sum(n_tokens), 0)::BIGINT AS completion_tokens
FROM judgements
GROUP BY judge
