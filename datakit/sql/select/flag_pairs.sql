-- The candidates, where those that people have excluded as a pair are lost: the same two answers, or the same texts again.
-- Kept as the temporary table `matched`.
-- Reads matched (match_answers.sql), answers (mark_answers.sql), excluded (find_excluded.sql). No parameters.
-- Gives the columns of matched.
WITH texts AS (
    SELECT c.prompt_id, c.text_hash AS chosen, r.text_hash AS rejected
    FROM excluded AS e
    INNER JOIN answers AS c ON e.chosen_id = c.response_id
    INNER JOIN answers AS r ON e.rejected_id = r.response_id AND c.prompt_id = r.prompt_id
    WHERE e.target = 'pair'
),

flagged AS (
    SELECT DISTINCT m.prompt_id, m.chosen_id, m.rejected_id
    FROM matched AS m
    INNER JOIN answers AS c ON m.prompt_id = c.prompt_id AND m.chosen_id = c.response_id
    INNER JOIN answers AS r ON m.prompt_id = r.prompt_id AND m.rejected_id = r.response_id
    WHERE (m.prompt_id, c.text_hash, r.text_hash) IN (SELECT (prompt_id, chosen, rejected) FROM texts)
)

SELECT m.* REPLACE (if(f.chosen_id IS NOT NULL, coalesce(m.lost, 'flagged'), m.lost) AS lost)
FROM matched AS m
LEFT JOIN flagged AS f ON m.prompt_id = f.prompt_id AND m.chosen_id = f.chosen_id AND m.rejected_id = f.rejected_id
