-- The pairs among the candidates, with the columns of the table `pairs`.
-- Reads pair_candidates (select_pairs.sql), numbered_prompts, numbered_sources, length_slopes.
--   $judge  whose scores selected, NULL for none
-- Returns the columns of pairs, in their order.
WITH models AS (
    SELECT DISTINCT model_no, model FROM numbered_sources
)

SELECT
    p.prompt_id,
    m.model,
    r.model AS rejected_model,
    id_text(c.chosen.id) AS chosen_id,
    id_text(c.rejected.id) AS rejected_id,
    c.margin,
    c.log_length_ratio,
    $judge::VARCHAR AS judge,
    c.chosen.score AS chosen_score,
    c.rejected.score AS rejected_score,
    s.slope AS length_slope,
    id_text(c.source_answer.id) AS source_chosen_id,
    c.source_answer.score AS source_chosen_score
FROM pair_candidates AS c
INNER JOIN numbered_prompts AS p ON c.prompt_no = p.prompt_no
INNER JOIN models AS m ON c.chosen.model_no = m.model_no
INNER JOIN models AS r ON c.rejected.model_no = r.model_no
LEFT JOIN length_slopes AS s ON c.chosen.model_no = s.model_no
WHERE c.lost IS NULL
ORDER BY c.prompt_no, c.side
