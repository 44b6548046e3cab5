-- The questions for a pairwise judge that compares all other models with one baseline model.
-- Kept as the temporary table `wanted_judgements`.
-- Reads judged_answers.
--   $judge            the judge's name
--   $model, $revision the baseline model; its first answer counts
--   $both             each pair is shown in both orders; FALSE: in one of them, chosen by hash
-- Returns judgement_id, prompt_id, first_id, second_id, reference_digest.
WITH opponents AS (
    SELECT prompt_id, arg_min(response_id, sample_index) AS response_id
    FROM judged_answers
    WHERE model = $model AND revision IS NOT DISTINCT FROM $revision
    GROUP BY prompt_id
),

meetings AS (
    SELECT DISTINCT
        a.prompt_id,
        a.reference_digest,
        a.response_id AS own,
        o.response_id AS other,
        md5_number_lower(concat_ws(chr(31), a.response_id, o.response_id)) % 2 = 0 AS comes_first
    FROM judged_answers AS a
    INNER JOIN opponents AS o ON a.prompt_id = o.prompt_id
    WHERE NOT (a.model = $model AND a.revision IS NOT DISTINCT FROM $revision)
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
