-- How many values of a knowledge base the current responses of the domain dialogue contain, by the verifiers that found them. A
-- value counts once per answer; of prompts with the same messages the first counts.
-- Reads current_responses, prompts, verdicts. No parameters.
-- Returns response_id, verifier, n_right (values of the gold answer that were found), n_wrong (other values found) and
-- n_left_out.
WITH answered AS (
    SELECT response_id, min(prompt_id) AS prompt_id
    FROM current_responses
    GROUP BY response_id
),

found AS (
    SELECT
        a.response_id,
        v.verifier,
        list_distinct(from_json(v.extracted, '["VARCHAR"]')) AS given,
        list_distinct(from_json(p.reference -> '$.values', '["VARCHAR"]')) AS gold
    FROM answered AS a
    INNER JOIN prompts AS p ON a.prompt_id = p.prompt_id
    INNER JOIN verdicts AS v ON a.response_id = v.response_id AND p.reference_digest = v.reference_digest
    WHERE p.domain = 'dialogue' AND v.extracted IS NOT NULL
)

SELECT
    response_id,
    verifier,
    len(list_intersect(given, gold)) AS n_right,
    len(given) - n_right AS n_wrong,
    len(gold) - n_right AS n_left_out
FROM found
