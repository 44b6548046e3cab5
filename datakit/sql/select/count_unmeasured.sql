-- Existing answers without a token count, before anything else is known of them.
-- Reads current_responses.
--   $models  the source models whose answers may be in a pair; NULL: all
-- Returns model, n; no row if all have one.
SELECT model, count(*) AS n
FROM current_responses
WHERE n_tokens IS NULL AND text_hash IS NOT NULL AND ($models::VARCHAR [] IS NULL OR list_contains($models, model))
GROUP BY model
ORDER BY n DESC, model
