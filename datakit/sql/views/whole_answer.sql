-- tables.answers.whole as a SQL macro that exports use: thought and answer in one text, as it came.
CREATE MACRO whole_answer(answer, reasoning, form) AS CASE
    WHEN form IS NULL THEN coalesce(answer, '')
    WHEN split_part(form, '…', 1) IN ('reasoning_content', 'reasoning', 'parts')
        THEN concat('<think>', chr(10), trim(reasoning, E' \t\n\r'), chr(10), '</think>', chr(10), chr(10), answer)
    ELSE concat(split_part(form, '…', 1), reasoning, split_part(form, '…', 2), answer)
END
