-- How the answers of each source were verified.
-- Reads answers, numbered_prompts, numbered_sources, verdicts.
--   $verifier  whose verdicts count
--   $wrong     outcomes that count as wrong
-- Returns model, kind, responses. For wrong answers in code the kind is what went wrong, as the verdict's detail names it.
SELECT
    m.model,
    CASE
        WHEN v.outcome IS NULL THEN 'no verdict'
        WHEN v.outcome = 'passed' THEN 'right'
        WHEN v.outcome = 'timeout' THEN 'timeout'
        WHEN starts_with(v.detail, 'cut off') THEN 'cut off'
        WHEN v.outcome = 'unparseable' THEN 'no answer'
        WHEN NOT list_contains($wrong, v.outcome) THEN 'cannot judge'
        WHEN regexp_matches(v.detail, 'SyntaxError|IndentationError|TabError') THEN 'syntax'
        WHEN starts_with(v.detail, 'static analysis') THEN 'static analysis'
        WHEN contains(v.detail, 'AssertionError') THEN 'assertion'
        WHEN contains(v.detail, 'MemoryError') THEN 'memory'
        WHEN regexp_matches(v.detail, '[A-Z][A-Za-z]*(Error|Exception|Exit|Interrupt)\b') THEN 'exception'
        ELSE 'wrong answer'
    END AS kind,
    count(*) AS responses
FROM answers AS a
INNER JOIN (SELECT DISTINCT model_no, model FROM numbered_sources) AS m ON a.model_no = m.model_no
INNER JOIN numbered_prompts AS p ON a.prompt_no = p.prompt_no
LEFT JOIN verdicts AS v
    ON a.id = id_number(v.response_id) AND v.verifier = $verifier AND v.reference_digest = p.reference_digest
GROUP BY m.model, kind
ORDER BY m.model, responses DESC, kind
