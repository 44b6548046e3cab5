-- Context of a few candidates: how many answers they were taken from, and what the judges and the verifier say of both answers.
-- Reads picked (picked.sql), browsed_answers (index_answers.sql).
--   $any_source  a pair may join two source models
-- Returns place, n_answers, n_right, n_wrong (that may be used), and for each side by_judge and where its verdict is stored.
SELECT
    b.place,
    count(a.id) AS n_answers,
    count(*) FILTER (WHERE a.is_right) AS n_right,
    count(*) FILTER (WHERE a.is_wrong) AS n_wrong,
    any_value(a.by_judge) FILTER (WHERE a.id = b.chosen_no) AS chosen_by_judge,
    any_value(a.by_judge) FILTER (WHERE a.id = b.rejected_no) AS rejected_by_judge,
    any_value(a.verdict_part) FILTER (WHERE a.id = b.chosen_no) AS chosen_verdict_part,
    any_value(a.verdict_row) FILTER (WHERE a.id = b.chosen_no) AS chosen_verdict_row,
    any_value(a.verdict_part) FILTER (WHERE a.id = b.rejected_no) AS rejected_verdict_part,
    any_value(a.verdict_row) FILTER (WHERE a.id = b.rejected_no) AS rejected_verdict_row
FROM picked AS b
LEFT JOIN browsed_answers AS a ON b.prompt_no = a.prompt_no AND ($any_source OR a.model_no = b.model_no)
GROUP BY b.place
ORDER BY b.place
