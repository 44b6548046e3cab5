-- The text of a response as exports write it: with or without the thought in front of it; with `strips`, without template
-- residue at both ends of the answer and without an empty thought. A macro that exports use.
CREATE MACRO written_answer(answer, reasoning, form, with_reasoning, strips) AS CASE
    WHEN with_reasoning AND NOT (coalesce(strips, FALSE) AND coalesce(trim(reasoning, E' \t\n\r'), '') = '')
        THEN whole_answer(if(coalesce(strips, FALSE), strip_residue(answer), answer), reasoning, form)
    WHEN coalesce(strips, FALSE) THEN strip_residue(answer)
    ELSE answer
END
