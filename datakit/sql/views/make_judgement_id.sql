-- The id of a judgement: what determines it. A macro that the other statements use. `second_id` is NULL where one answer is graded; of
-- two answers the first is the one that is shown first.
CREATE MACRO make_judgement_id(judge, first_id, second_id, reference_digest) AS
    left(sha256(concat_ws(chr(31), judge, first_id, coalesce(second_id, ''), reference_digest)), 24)
