-- The response_id that a number of id_number stands for: a macro.
CREATE MACRO id_text(id) AS lpad(lower(to_hex(id)), 24, '0')
