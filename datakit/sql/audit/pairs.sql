-- The stored pairs with their lengths and scores. Kept as the temporary table `audit_pairs`.
-- Reads pairs, responses, answers, numbered_prompts. No parameters.
-- Returns the columns of pairs, chosen_chars, rejected_chars, chosen_tokens, rejected_tokens. A pair that is out of date may
-- have answers that are no longer current: their lengths come from the responses.
WITH held AS (
    SELECT prompt_id, unnest([chosen_id, rejected_id]) AS response_id FROM pairs
),

found AS (
    SELECT h.prompt_id, h.response_id, a.n_chars, a.n_tokens, a.score
    FROM held AS h
    INNER JOIN numbered_prompts AS n ON h.prompt_id = n.prompt_id
    INNER JOIN answers AS a ON n.prompt_no = a.prompt_no AND id_number(h.response_id) = a.id
),

gone AS (
    SELECT DISTINCT h.prompt_id, r.response_id, r.n_chars, r.n_tokens, NULL::DOUBLE AS score
    FROM (FROM held ANTI JOIN found USING (prompt_id, response_id)) AS h
    INNER JOIN responses AS r ON h.response_id = r.response_id
),

answered AS (
    SELECT DISTINCT * FROM found
    UNION ALL
    SELECT * FROM gone
)

SELECT
    p.* REPLACE (coalesce(p.chosen_score, c.score) AS chosen_score, coalesce(p.rejected_score, r.score) AS rejected_score),
    c.n_chars AS chosen_chars,
    r.n_chars AS rejected_chars,
    c.n_tokens AS chosen_tokens,
    r.n_tokens AS rejected_tokens
FROM pairs AS p
LEFT JOIN answered AS c ON p.prompt_id = c.prompt_id AND p.chosen_id = c.response_id
LEFT JOIN answered AS r ON p.prompt_id = r.prompt_id AND p.rejected_id = r.response_id
