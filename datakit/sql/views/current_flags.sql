-- What people say now: of each target and person the last flag, if that is not `clear`.
-- Reads flags. No parameters.
-- Gives the columns of flags, and `decides`: of all that people say of a target, the last exclude or keep. Of two of one moment
-- exclude goes first: what is left out by mistake is seen in the funnel.
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
