-- How many prompts each source solves, by how many of its answers are right.
-- Reads answers, numbered_sources.
--   $wrong  outcomes that count as wrong
-- Returns model, answers (to a prompt, right or wrong), passed (of these), prompts. What cannot be judged does not count.
WITH judged AS (
    SELECT
        model_no,
        prompt_no,
        count(*) FILTER (WHERE outcome = 'passed' OR list_contains($wrong, outcome)) AS answers,
        count(*) FILTER (WHERE outcome = 'passed') AS passed
    FROM answers
    GROUP BY model_no, prompt_no
)

SELECT m.model, j.answers, j.passed, count(*) AS prompts
FROM judged AS j
INNER JOIN (SELECT DISTINCT model_no, model FROM numbered_sources) AS m ON j.model_no = m.model_no
WHERE j.answers > 0
GROUP BY m.model, j.answers, j.passed
ORDER BY m.model, j.answers, j.passed
