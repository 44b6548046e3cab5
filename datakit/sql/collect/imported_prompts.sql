-- The prompts whose imported responses are there, and whether the ids of these carry the prompt's.
-- Reads prompts, responses. No parameters. Gives prompt_id, messages_digest, shares_messages.
-- It goes by the ids that there are, so that those of a run stay what they are in whatever order its prompts come next time.
SELECT
    p.prompt_id,
    p.messages_digest,
    bool_or(
        r.response_id = make_response_id(
            p.messages_digest, r.model, r.revision, r.sampling, r.sample_index, own_id := p.prompt_id
        )
    ) AS shares_messages
FROM responses AS r
INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
WHERE r.sampling = 'imported'
GROUP BY p.prompt_id, p.messages_digest
