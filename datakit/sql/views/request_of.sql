-- What tells the requests of one prompt to one source apart: the seed; where none was sent, the seconds until the answer, which
-- all choices of a request share; where nobody waited for it (a line of a batch), the response, for it is the only one.
-- A macro for spending, plans and the search for copies. Returns 64 bits.
CREATE MACRO request_of(seed, latency_s, response_id) AS
    CASE WHEN seed IS NOT NULL THEN hash(seed) WHEN latency_s IS NOT NULL THEN hash(latency_s) ELSE hash(response_id) END
