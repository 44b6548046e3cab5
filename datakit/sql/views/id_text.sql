-- The response_id for a number of id_number. A macro.
CREATE MACRO id_text(id) AS lpad(lower(to_hex(id)), 24, '0')
