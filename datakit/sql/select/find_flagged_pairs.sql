-- The pairs that people have excluded, by their texts. Kept as the temporary table `flagged_pairs`.
-- Reads answers (mark_answers.sql), excluded (find_excluded.sql). No parameters.
-- Returns prompt_no, chosen, rejected (both as text_hash).
SELECT DISTINCT c.prompt_no, c.text_hash AS chosen, r.text_hash AS rejected
FROM excluded AS e
INNER JOIN answers AS c ON id_number(e.chosen_id) = c.id
INNER JOIN answers AS r ON id_number(e.rejected_id) = r.id AND c.prompt_no = r.prompt_no
WHERE e.target = 'pair'
