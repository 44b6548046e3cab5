-- tables.make_response_id as a SQL macro that other statements use.
CREATE MACRO make_response_id(messages_digest, model, revision, sampling, sample_index, own_id := NULL) AS
    left(sha256(concat_ws(chr(31), messages_digest, model, coalesce(revision, ''), sampling, sample_index, own_id)), 24)
