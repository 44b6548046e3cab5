-- tables.compared_text as a SQL macro, for parts that were written without n_chars (length of this) and text_hash
-- (md5_number_lower of this).
CREATE MACRO compared_text(text) AS
    regexp_replace(
        ltrim(replace(replace(text, chr(13) || chr(10), chr(10)), chr(13), chr(10)), e' \t\n\r\f\x0b'),
        '(?:[ \t\n\r\f\v]|<\|im_end\|>|<\|eot_id\|>|<\|eom_id\|>|<\|end_of_text\|>|<\|endoftext\|>|<\|end\|>|</s>|<eos>|<end_of_turn>|<｜end▁of▁sentence｜>)+\z',
        ''
    )
