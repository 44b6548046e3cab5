-- The pairs with their prompts and answers, one row per pair, to read and to filter by.
-- Reads pairs, prompts, responses. No parameters.
-- Returns the columns of pairs, and prompt (its messages), source, category, reference; for both answers the text, characters,
-- tokens.
SELECT
    x.*,
    p.messages AS prompt,
    p.source,
    p.category,
    p.reference,
    c.text AS chosen,
    r.text AS rejected,
    c.n_chars AS chosen_chars,
    r.n_chars AS rejected_chars,
    c.n_tokens AS chosen_tokens,
    r.n_tokens AS rejected_tokens
FROM pairs AS x
INNER JOIN prompts AS p ON x.prompt_id = p.prompt_id
INNER JOIN responses AS c ON x.chosen_id = c.response_id
INNER JOIN responses AS r ON x.rejected_id = r.response_id
