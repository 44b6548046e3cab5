-- Pairs that came, went or changed. Kept as the temporary table `pair_changes`.
-- Reads before_pairs, after_pairs (of the columns of pairs: prompt_id, model, chosen_id, rejected_id, source_chosen_id,
-- margin).
-- Returns prompt_id, model, change (came, went, changed), both answers' ids and the margin before and after (`_new`). A pair is
-- identified by its prompt and source. If each prompt has one pair before and after, a prompt whose pair now comes from another
-- source has changed: `model` is that source.
WITH counted AS (
    SELECT
        (SELECT count(*) = count(DISTINCT prompt_id) FROM before_pairs)
        AND (SELECT count(*) = count(DISTINCT prompt_id) FROM after_pairs) AS single
),

before AS (
    SELECT *, if((SELECT single FROM counted), NULL, model) AS place FROM before_pairs
),

after AS (
    SELECT *, if((SELECT single FROM counted), NULL, model) AS place FROM after_pairs
)

SELECT
    coalesce(a.prompt_id, b.prompt_id) AS prompt_id,
    coalesce(a.model, b.model) AS model,
    CASE WHEN b.chosen_id IS NULL THEN 'came' WHEN a.chosen_id IS NULL THEN 'went' ELSE 'changed' END AS change,
    b.chosen_id,
    b.rejected_id,
    b.margin,
    a.chosen_id AS chosen_id_new,
    a.rejected_id AS rejected_id_new,
    a.margin AS margin_new
FROM before AS b
FULL JOIN after AS a ON b.prompt_id = a.prompt_id AND b.place IS NOT DISTINCT FROM a.place
WHERE
    b.chosen_id IS DISTINCT FROM a.chosen_id
    OR b.rejected_id IS DISTINCT FROM a.rejected_id
    OR b.source_chosen_id IS DISTINCT FROM a.source_chosen_id
