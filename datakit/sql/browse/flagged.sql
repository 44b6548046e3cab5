-- The candidates that have a flag, on their prompt, a response or the pair.
-- Reads browsed (index_pairs.sql), browsed_prompts, standing (views/current_flags.sql).
--   $flag  exclude, keep or note; 'any' for all
-- Returns n. A flag on an unknown response id matches no candidate.
WITH said AS (
    SELECT
        target,
        prompt_id,
        try(id_number(response_id)) AS response_no,
        try(id_number(chosen_id)) AS chosen_no,
        try(id_number(rejected_id)) AS rejected_no
    FROM standing
    WHERE $flag = 'any' OR flag = $flag
)

SELECT n
FROM browsed
WHERE
    prompt_no IN (
        SELECT p.prompt_no
        FROM browsed_prompts AS p
        INNER JOIN said AS s ON p.prompt_id = s.prompt_id AND s.target = 'prompt'
    )
    OR chosen_no IN (SELECT response_no FROM said WHERE target = 'response' AND response_no IS NOT NULL)
    OR rejected_no IN (SELECT response_no FROM said WHERE target = 'response' AND response_no IS NOT NULL)
    OR (chosen_no, rejected_no) IN (SELECT (chosen_no, rejected_no) FROM said WHERE target = 'pair')
