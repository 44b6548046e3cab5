-- Every candidate, numbered in the order of the pages, which is the order of the chosen answers on disk: neighbours are read
-- together.
-- Kept as the temporary table `browsed`.
-- Reads pair_candidates (select/select_pairs.sql), browsed_answers. No parameters.
-- Returns n, the candidate with `lost` (NULL: it is a pair), both outcomes, scores and lengths, `against` (how many judges
-- score the rejected answer above the chosen one), and where the texts are stored. Prompts, models and ids are numbers.
WITH candidates AS (
    SELECT
        prompt_no,
        side,
        chosen.id AS chosen_no,
        rejected.id AS rejected_no,
        coalesce(chosen.model_no, side) AS model_no,
        coalesce(rejected.model_no, side) AS rejected_model_no,
        margin,
        log_length_ratio,
        lost
    FROM pair_candidates
)

SELECT
    row_number() OVER (ORDER BY c.part, c.row, r.part, r.row, p.prompt_no, p.side)::INTEGER AS n,
    p.prompt_no,
    p.model_no,
    p.rejected_model_no,
    p.chosen_no,
    p.rejected_no,
    p.margin,
    p.log_length_ratio,
    p.lost,
    coalesce(
        len([i FOR i IN range(1, len(c.by_judge) + 1) IF c.by_judge[i] < r.by_judge[i]]), (c.score < r.score)::BIGINT, 0
    )::SMALLINT AS against,
    c.outcome AS chosen_outcome,
    r.outcome AS rejected_outcome,
    c.score AS chosen_score,
    r.score AS rejected_score,
    c.n_chars AS chosen_chars,
    r.n_chars AS rejected_chars,
    c.part AS chosen_part,
    c.row AS chosen_row,
    r.part AS rejected_part,
    r.row AS rejected_row
FROM candidates AS p
LEFT JOIN browsed_answers AS c ON p.prompt_no = c.prompt_no AND p.chosen_no = c.id
LEFT JOIN browsed_answers AS r ON p.prompt_no = r.prompt_no AND p.rejected_no = r.id
ORDER BY n
