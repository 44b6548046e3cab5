-- The stored pairs with their lengths and scores. Kept as the temporary table `audit_pairs`.
-- Reads pairs, responses, answers. No parameters.
-- Gives the columns of pairs, chosen_chars, rejected_chars, chosen_score, rejected_score (of the judge that selects).
SELECT
    p.*,
    c.n_chars AS chosen_chars,
    r.n_chars AS rejected_chars,
    cs.score AS chosen_score,
    rs.score AS rejected_score
FROM pairs AS p
LEFT JOIN responses AS c ON p.chosen_id = c.response_id
LEFT JOIN responses AS r ON p.rejected_id = r.response_id
LEFT JOIN answers AS cs ON p.prompt_id = cs.prompt_id AND p.chosen_id = cs.response_id
LEFT JOIN answers AS rs ON p.prompt_id = rs.prompt_id AND p.rejected_id = rs.response_id
