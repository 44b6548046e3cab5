-- A few changed pairs to show as text: one of each kind of change, then more, in the order of a hash of the prompt id.
-- Reads pair_changes.
--   $most  maximum number of rows
-- Returns the columns of pair_changes; the first pair of each kind comes first.
WITH firsts AS (
    SELECT unnest(min({'place': md5(p.prompt_id), 'prompt_id': p.prompt_id, 'model': p.model, 'changed': p}, $most)) AS one
    FROM pair_changes AS p
    GROUP BY p.change
)

SELECT unnest(one.changed)
FROM firsts
ORDER BY row_number() OVER (PARTITION BY one.changed.change ORDER BY one) > 1, one
LIMIT $most
