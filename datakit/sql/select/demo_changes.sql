-- Demos that came, went or changed. Kept as the temporary table `demo_changes`.
-- Reads before_demos, after_demos (prompt_id, response_id).
-- Returns prompt_id, change (came, went, changed), response_id before and after (`_new`). If a prompt has several demos, none
-- counts as changed.
WITH counted AS (
    SELECT
        (SELECT count(*) = count(DISTINCT prompt_id) FROM before_demos)
        AND (SELECT count(*) = count(DISTINCT prompt_id) FROM after_demos) AS single
),

before AS (
    SELECT *, if((SELECT single FROM counted), NULL, response_id) AS place FROM before_demos
),

after AS (
    SELECT *, if((SELECT single FROM counted), NULL, response_id) AS place FROM after_demos
)

SELECT
    coalesce(a.prompt_id, b.prompt_id) AS prompt_id,
    CASE WHEN b.response_id IS NULL THEN 'came' WHEN a.response_id IS NULL THEN 'went' ELSE 'changed' END AS change,
    b.response_id,
    a.response_id AS response_id_new
FROM before AS b
FULL JOIN after AS a ON b.prompt_id = a.prompt_id AND b.place IS NOT DISTINCT FROM a.place
WHERE b.response_id IS DISTINCT FROM a.response_id
