-- The messages that a model was sent for a response: the prompt's messages, after the system prompt of its source if
-- with_system is true. A macro that exports use. `sampling` is the response's: JSON with the system prompt in it, or
-- 'imported'.
CREATE MACRO asked_messages(messages, sampling, with_system) AS CASE
    WHEN with_system AND json_valid(sampling) AND json_extract_string(sampling, '$.system') IS NOT NULL
        THEN list_prepend({'role': 'system', 'content': json_extract_string(sampling, '$.system')}, messages)
    ELSE messages
END
