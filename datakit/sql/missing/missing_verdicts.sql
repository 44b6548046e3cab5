-- Current responses that have not been verified against the prompt's current reference.
-- Reads current_responses, prompts, responses, verdicts.
--   $verifier  the verifier's name, with its version and options
-- Returns the columns that a domain's verify() reads, one row per response and reference. Texts are read, never sorted or kept:
-- the result can be streamed.
WITH missing AS (
    SELECT r.response_id, p.reference_digest, min(p.prompt_id) AS prompt_id, bool_and(r.complete) AS complete
    FROM current_responses AS r
    INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
    ANTI JOIN verdicts AS v
        ON r.response_id = v.response_id AND p.reference_digest = v.reference_digest AND v.verifier = $verifier
    GROUP BY r.response_id, p.reference_digest
)

SELECT
    r.response_id,
    p.reference_digest,
    r.text,
    m.complete,
    p.messages,
    p.reference,
    p.test_style,
    p.entry_point,
    p.solution
FROM responses AS r
INNER JOIN missing AS m ON r.response_id = m.response_id
INNER JOIN prompts AS p ON m.prompt_id = p.prompt_id
