-- A response_id (24 hex digits) as a number of 128 bits, in the same order. A macro, for rows that are counted by the million.
CREATE MACRO id_number(response_id) AS ('0x' || response_id)::UHUGEINT
