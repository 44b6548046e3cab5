-- The prompts that have imported responses, and whether the ids of these responses include the prompt's id.
-- Reads prompts, responses. No parameters. Returns prompt_id, messages_digest, shares_messages.
-- This is read from existing ids, so that a run's ids stay the same in whatever order its prompts come next time.
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
