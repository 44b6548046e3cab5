-- Responses of a run that was made when a thought was not yet told from its answer: their parts, found as they are read.
-- Reads whole_responses (the parts of the table that have no column for it), split_answer (tables.answers.split), the variable
-- may_think (the pattern without which there is nothing to split).
-- Gives the columns of responses.
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
