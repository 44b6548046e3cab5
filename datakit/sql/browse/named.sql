-- A few candidates with names instead of numbers.
-- Reads picked (picked.sql), browsed_prompts, browsed_models. No parameters.
-- Returns the columns of picked, in the order of `place`, and prompt_id, model, rejected_model, chosen_id, rejected_id,
-- prompt_part, prompt_row.
SELECT
    b.* EXCLUDE (prompt_no, model_no, rejected_model_no, chosen_no, rejected_no),
    p.prompt_id,
    m.model,
    r.model AS rejected_model,
    id_text(b.chosen_no) AS chosen_id,
    id_text(b.rejected_no) AS rejected_id,
    p.part AS prompt_part,
    p.row AS prompt_row
FROM picked AS b
INNER JOIN browsed_prompts AS p ON b.prompt_no = p.prompt_no
LEFT JOIN browsed_models AS m ON b.model_no = m.model_no
LEFT JOIN browsed_models AS r ON b.rejected_model_no = r.model_no
ORDER BY b.place
