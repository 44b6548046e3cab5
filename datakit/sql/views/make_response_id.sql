-- tables.make_response_id, spelled in SQL: a macro that the other statements use.
CREATE MACRO make_response_id(messages_digest, model, revision, sampling, sample_index) AS
    left(sha256(concat_ws(chr(31), messages_digest, model, coalesce(revision, ''), sampling, sample_index)), 24)
