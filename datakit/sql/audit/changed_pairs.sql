-- A few changed pairs to be shown as text: one of each kind, and more of those that come first by a hash of the prompt.
-- Reads pair_changes.
--   $most  so many
-- Gives the columns of pair_changes, those of the first places first.
WITH firsts AS (
    SELECT unnest(min({'place': md5(p.prompt_id), 'prompt_id': p.prompt_id, 'model': p.model, 'changed': p}, $most)) AS one
    FROM pair_changes AS p
    GROUP BY p.change
)

SELECT unnest(one.changed)
FROM firsts
ORDER BY row_number() OVER (PARTITION BY one.changed.change ORDER BY one) > 1, one
LIMIT $most
