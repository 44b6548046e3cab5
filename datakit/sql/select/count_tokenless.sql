-- Answers that may be in a pair and have no token count.
-- Reads answers (mark_answers.sql), numbered_sources. No parameters. Returns model, n; no row if all have one.
SELECT m.model, count(*) AS n
FROM answers AS a
INNER JOIN (SELECT DISTINCT model_no, model FROM numbered_sources) AS m ON a.model_no = m.model_no
WHERE (a.may_be_chosen OR a.may_be_rejected) AND a.n_tokens IS NULL
GROUP BY m.model
ORDER BY n DESC, m.model
