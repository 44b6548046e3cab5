-- Why responses with an answer are not complete: finish reasons that do not mean that the model had finished.
-- Reads current_responses. No parameters. Returns model, finish_reason, n.
SELECT model, finish_reason, count(DISTINCT response_id) AS n
FROM current_responses
WHERE NOT complete AND finish_reason IS NOT NULL AND text IS NOT NULL
GROUP BY model, finish_reason
ORDER BY model, n DESC, finish_reason
