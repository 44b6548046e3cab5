-- How many characters of a text are of a class ('\p{Han}', or the characters themselves): a macro that other statements use.
CREATE MACRO count_of(text, class) AS length(regexp_replace(text, '[^' || class || ']', '', 'g'))
