-- A demo whose stored score is not the one that it is selected with now.
-- Reads demos, selected_demos. No parameters. Returns prompt_id, response_id; at most one row.
SELECT d.prompt_id, d.response_id
FROM demos AS d
INNER JOIN selected_demos AS s ON d.prompt_id = s.prompt_id AND d.response_id = s.response_id
WHERE d.score IS DISTINCT FROM s.score
LIMIT 1
