-- Prompts that say the same as an earlier one.
-- Reads texts (number, key: a number made from the prompt's tokens, and from its reference if answers are verified). No
-- parameters.
-- Returns number, met: the number of the first prompt with this key, which is kept.
SELECT number, first_number AS met
FROM (SELECT number, min(number) OVER (PARTITION BY key) AS first_number FROM texts)
WHERE number <> first_number
