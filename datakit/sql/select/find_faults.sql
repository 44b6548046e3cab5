-- Answers that a rule of curation leaves out of pairs and demos, and the rule.
-- Reads current_responses, prompts.
--   $traditional  characters that simplified texts do not have
--   $language    answers in another script than their prompt: at least a third of the letters are Han on one side and almost
--                none on the other, or kana answers Chinese. Not if the prompt speaks of languages or translation, or either
--                contains code
--   $simplified  answers with traditional characters, more than one in fifty Han ones, if the prompt has none
--   $damaged     answers with U+FFFD, which replaces characters that could not be decoded
--   $repetition  answers that end in a loop, or more than this share of whose windows of ten characters occurred earlier in
--                them; NULL: any
--   $shortest, $longest  characters of an answer, both included; NULL: any
-- Returns prompt_id, response_id, fault. count_of and repetition are functions of Database.
WITH asked AS (
    SELECT
        prompt_id,
        array_to_string([turn.content FOR turn IN messages IF turn.role = 'user'], chr(10)) AS question
    FROM prompts
),

counted AS (
    SELECT
        r.prompt_id,
        r.response_id,
        r.text,
        a.question,
        count_of(a.question, '\p{Han}') / greatest(count_of(a.question, '\p{L}'), 1) AS han_asked,
        count_of(r.text, '\p{Han}') AS n_han,
        n_han / greatest(count_of(r.text, '\p{L}'), 1) AS han_answered
    FROM current_responses AS r
    INNER JOIN asked AS a ON r.prompt_id = a.prompt_id
    WHERE r.text IS NOT NULL
),

found AS (
    SELECT
        prompt_id,
        response_id,
        CASE
            WHEN $damaged AND contains(text, chr(65533)) THEN 'damaged characters'
            WHEN length(text) < $shortest OR length(text) > $longest THEN 'length in characters'
            WHEN $language
                AND NOT regexp_matches(
                    question,
                    '(?i)```|翻译|英文|英语|中文|汉语|日语|日文|法语|德语|语言|拼音|代码|程序|translat|chinese|english|language|japanese|mandarin'
                )
                AND NOT contains(text, '```')
                AND (
                    (han_asked > 0.3 AND (han_answered < 0.1 AND count_of(text, '\p{L}') >= 10 OR regexp_matches(text, '[\p{Hiragana}\p{Katakana}]{3}')))
                    OR (han_asked = 0 AND han_answered > 0.3)
                ) THEN 'another language than the prompt'
            WHEN $simplified
                AND count_of(text, $traditional) > 0.02 * greatest(n_han, 50)
                AND count_of(question, $traditional) = 0
                AND NOT contains(question, '繁') THEN 'traditional characters'
            WHEN $repetition IS NOT NULL AND repetition(text) > $repetition THEN 'repetition'
        END AS fault
    FROM counted
)

SELECT prompt_id, response_id, fault
FROM found
WHERE fault IS NOT NULL
