-- The questions for a pairwise judge that compares the answers of one source to one prompt with each other; equal texts are not
-- compared.
-- Kept as the temporary table `wanted_judgements`.
-- Reads judged_answers.
--   $judge  the judge's name
--   $both   each pair is shown in both orders; FALSE: in one of them, chosen by hash
-- Returns judgement_id, prompt_id, first_id, second_id, reference_digest.
WITH meetings AS (
    SELECT
        a.prompt_id,
        a.reference_digest,
        a.response_id AS own,
        b.response_id AS other,
        md5_number_lower(concat_ws(chr(31), a.response_id, b.response_id)) % 2 = 0 AS comes_first
    FROM judged_answers AS a
    INNER JOIN judged_answers AS b
        ON
            a.prompt_id = b.prompt_id
            AND a.model = b.model
            AND a.revision IS NOT DISTINCT FROM b.revision
            AND a.sampling = b.sampling
            AND a.response_id < b.response_id
    WHERE a.text_hash IS DISTINCT FROM b.text_hash OR a.text_hash IS NULL
),

ordered AS (
    SELECT prompt_id, reference_digest, own AS first_id, other AS second_id FROM meetings WHERE $both OR comes_first
    UNION ALL
    SELECT prompt_id, reference_digest, other AS first_id, own AS second_id FROM meetings WHERE $both OR NOT comes_first
)

SELECT
    make_judgement_id($judge, first_id, second_id, reference_digest) AS judgement_id,
    min(prompt_id) AS prompt_id,
    first_id,
    second_id,
    reference_digest
FROM ordered
GROUP BY first_id, second_id, reference_digest
