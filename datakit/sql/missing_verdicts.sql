-- Current responses that the verifier has not judged against the prompt's present reference.
-- Reads current_responses, prompts, verdicts.
--   $verifier  the verifier's name, with its version and options
-- Gives what a domain's verify() reads of a row.
SELECT
    r.response_id,
    p.reference_digest,
    r.text,
    r.finish_reason,
    p.messages,
    p.reference,
    p.test_style,
    p.entry_point
FROM current_responses AS r
INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
ANTI JOIN verdicts AS v
    ON r.response_id = v.response_id AND p.reference_digest = v.reference_digest AND v.verifier = $verifier
QUALIFY row_number() OVER (PARTITION BY r.response_id, p.reference_digest ORDER BY r.prompt_id) = 1
