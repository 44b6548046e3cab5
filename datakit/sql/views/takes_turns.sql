-- True if LLaMA-Factory can read a prompt with these roles: a system prompt, if any, then user and assistant in turn, the user
-- last. A macro that exports use.
CREATE MACRO takes_turns(roles) AS
    regexp_full_match(array_to_string(roles, ','), '(system,)?(user,assistant,)*user')
