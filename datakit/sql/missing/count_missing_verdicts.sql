-- How many verdicts missing_verdicts.sql is about.
-- Reads current_responses, prompts, verdicts.
--   $verifier  the verifier's name, with its version and options
SELECT count(DISTINCT (r.response_id, p.reference_digest)) AS n
FROM current_responses AS r
INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
ANTI JOIN verdicts AS v
    ON r.response_id = v.response_id AND p.reference_digest = v.reference_digest AND v.verifier = $verifier
