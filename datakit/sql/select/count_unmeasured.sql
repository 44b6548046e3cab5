-- Answers that are there and have no count of tokens, before anything is known of them.
-- Reads current_responses.
--   $models  the source models whose answers may stand in a pair; NULL: all
-- Gives model, n; no row where all have one.
SELECT model, count(*) AS n
FROM current_responses
WHERE n_tokens IS NULL AND text_hash IS NOT NULL AND ($models::VARCHAR [] IS NULL OR list_contains($models, model))
GROUP BY model
ORDER BY n DESC, model
