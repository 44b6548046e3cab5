-- Responses of a run that was made before thoughts were separated from answers. They are split as they are read.
-- Reads whole_responses (the parts of the table without a column for the thought), split_answer (tables.answers.split), the
-- variable may_think (a pattern; a text without it needs no splitting).
-- Returns the columns of responses.
SELECT * EXCLUDE (parts) REPLACE (parts.text AS text), parts.reasoning AS reasoning, parts.form AS reasoning_form
FROM (
    SELECT
        *,
        if(
            regexp_matches(text, getvariable('may_think')),
            split_answer(text),
            {'text': text, 'reasoning': NULL, 'form': NULL}
        ) AS parts
    FROM whole_responses
)
