-- The id of a judgement: a hash of what determines it. A macro that other statements use. `second_id` is NULL if one answer is
-- graded; of two answers the first is the one that is shown first.
CREATE MACRO make_judgement_id(judge, first_id, second_id, reference_digest) AS
    left(sha256(concat_ws(chr(31), judge, first_id, coalesce(second_id, ''), reference_digest)), 24)
