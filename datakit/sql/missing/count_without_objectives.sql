-- How many wanted responses the judge has scored without storing the objectives behind the score.
-- Reads scores, wanted_responses.
--   $judge  the judge's name, with its revision
SELECT count(*) AS n
FROM scores AS s
SEMI JOIN wanted_responses AS w ON s.response_id = w.response_id
WHERE s.judge = $judge AND s.objectives IS NULL
