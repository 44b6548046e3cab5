-- The samples that the recipe wants of its endpoints and servers and that are not there.
-- Reads wanted_responses, responses, failures.
--   $retry_failures  ask again also for what failed for good
-- Gives one row a sample, once where two prompts ask the same; the prompts table has the messages.
SELECT w.response_id, w.prompt_id, w.model, w.revision, w.sampling, w.sample_index
FROM wanted_responses AS w
ANTI JOIN responses AS r ON w.response_id = r.response_id
WHERE
    w.source_type <> 'responses'
    AND (
        $retry_failures
        OR w.response_id NOT IN (SELECT f.key FROM failures AS f WHERE f.stage = 'sample' AND f.permanent)
    )
QUALIFY row_number() OVER (PARTITION BY w.response_id ORDER BY w.prompt_id) = 1
ORDER BY w.prompt_id, w.sample_index
