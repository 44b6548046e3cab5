-- The number of characters of a text that belong to a class ('\p{Han}', or the characters themselves). A macro that other
-- statements use.
CREATE MACRO count_of(text, class) AS length(regexp_replace(text, '[^' || class || ']', '', 'g'))
