-- What two models answered to prompts that only one of them got right, with the verdicts.
-- Reads prompts, responses, verdicts.
--   $verifier  the verifier's name, with its version and options
--   $ids       the response ids
-- Returns one row per response.
SELECT
    r.response_id,
    p.prompt_id,
    p.messages[-1].content AS prompt,
    p.reference,
    r.text,
    v.outcome,
    v.extracted,
    v.detail
FROM responses AS r
INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
LEFT JOIN verdicts AS v
    ON r.response_id = v.response_id AND p.reference_digest = v.reference_digest AND v.verifier = $verifier
WHERE list_contains($ids::VARCHAR[], r.response_id)
