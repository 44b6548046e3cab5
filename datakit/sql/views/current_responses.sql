-- The responses that the current recipe wants and that are there; stages, selection and audit read this, never `responses`.
-- Reads responses, wanted_responses. No parameters. Gives the columns of responses, one row a prompt and response.
-- A sampled response belongs to messages: it follows a prompt that was renamed, and serves two prompts that ask the same.
SELECT r.* REPLACE (w.prompt_id AS prompt_id)
FROM responses AS r
INNER JOIN wanted_responses AS w ON r.response_id = w.response_id
