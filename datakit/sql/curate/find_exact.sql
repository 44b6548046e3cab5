-- Prompts that say the same as an earlier one.
-- Reads texts (number, key: a number of the prompt's tokens, and where answers are verified of its reference). No parameters.
-- Gives number, met: the number of the first with this key, which stays.
SELECT number, first_number AS met
FROM (SELECT number, min(number) OVER (PARTITION BY key) AS first_number FROM texts)
WHERE number <> first_number
