-- The response_id that a number of id_number stands for: a macro.
CREATE MACRO id_text(id) AS left(replace(id::VARCHAR, '-', ''), 24)
