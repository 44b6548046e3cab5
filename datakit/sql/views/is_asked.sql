-- True if a source asks a prompt in this way. A macro over `asks` of the table of sources and two columns of prompts.
CREATE MACRO is_asked(asks, category, source) AS
    asks.column IS NULL
    OR coalesce(list_contains(asks.values, if(asks.column = 'category', category, source)), FALSE) <> asks.others
