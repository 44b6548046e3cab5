-- The flags that count now: the last flag per target and person, unless that is `clear`.
-- Reads flags. No parameters.
-- Returns the columns of flags, and `decides`: true for the last exclude or keep of each target, by any person. Of two flags
-- with the same time exclude wins: what is left out by mistake is seen in the funnel.
WITH latest AS (
    SELECT *
    FROM flags
    QUALIFY row_number() OVER (
        PARTITION BY target, prompt_id, response_id, chosen_id, rejected_id, who ORDER BY "at" DESC, flag <> 'exclude', flag
    ) = 1
)

SELECT
    *,
    flag IN ('exclude', 'keep') AND row_number() OVER (
        PARTITION BY target, prompt_id, response_id, chosen_id, rejected_id, flag IN ('exclude', 'keep')
        ORDER BY "at" DESC, flag <> 'exclude', who
    ) = 1 AS decides
FROM latest
WHERE flag <> 'clear'
