-- The judgements of one judge that are wanted and missing, with everything that the judge is shown.
-- Reads wanted_judgements, judgements, failures, prompts, responses.
--   $judge           the judge's name
--   $retry_failures  also ask again for what failed permanently
-- Returns judgement_id, first_id, second_id, reference_digest, the prompt's messages, reference and category, and the texts
-- `first` and `second`. Texts are read, never sorted or kept: the result can be streamed.
WITH missing AS (
    SELECT w.*
    FROM wanted_judgements AS w
    ANTI JOIN judgements AS j ON w.judgement_id = j.judgement_id
    WHERE
        $retry_failures
        OR w.judgement_id NOT IN (
            SELECT f.key FROM failures AS f WHERE f.stage = 'judge' AND f.source = $judge AND f.permanent
        )
)

SELECT
    m.judgement_id,
    m.first_id,
    m.second_id,
    m.reference_digest,
    p.messages,
    p.reference,
    p.category,
    a.text AS first,
    b.text AS second
FROM responses AS a
INNER JOIN missing AS m ON a.response_id = m.first_id
INNER JOIN prompts AS p ON m.prompt_id = p.prompt_id
LEFT JOIN responses AS b ON m.second_id = b.response_id
