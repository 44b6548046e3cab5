-- How answers were found in the texts of each source: the way that the verifier took, as the verdict's detail names it.
-- Reads answers, numbered_prompts, numbered_sources, verdicts.
--   $verifier  whose verdicts count
--   $wrong     outcomes that count as wrong
-- Returns model, way, passed, failed. The way is the first word in the brackets at the end of the detail (code), or the whole
-- detail (math, mcq).
SELECT
    m.model,
    coalesce(nullif(regexp_extract(v.detail, '\[([^\[\],]+)[^\[\]]*\]$', 1), ''), v.detail) AS way,
    count(*) FILTER (WHERE v.outcome = 'passed') AS passed,
    count(*) FILTER (WHERE v.outcome <> 'passed') AS failed
FROM answers AS a
INNER JOIN (SELECT DISTINCT model_no, model FROM numbered_sources) AS m ON a.model_no = m.model_no
INNER JOIN numbered_prompts AS p ON a.prompt_no = p.prompt_no
INNER JOIN verdicts AS v
    ON a.id = id_number(v.response_id) AND v.verifier = $verifier AND v.reference_digest = p.reference_digest
WHERE v.outcome = 'passed' OR (list_contains($wrong, v.outcome) AND v.outcome <> 'timeout')
GROUP BY m.model, way
ORDER BY m.model, count(*) DESC, way
