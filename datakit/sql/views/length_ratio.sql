-- Characters of the longer of two answers (structs of match_answers.sql) divided by those of the shorter; an empty text counts
-- as one. A macro.
CREATE MACRO length_ratio(one, other) AS
    greatest(one.n_chars, other.n_chars, 1) / greatest(least(one.n_chars, other.n_chars), 1)
