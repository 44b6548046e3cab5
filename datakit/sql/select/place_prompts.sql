-- The prompts that serve SFT by their own hash, before any rule (select.split: hash). Kept as the temporary table `placed`.
-- Reads numbered_prompts.
--   $sft_below  the share of SFT: prompts stand between 0 and 1 by a hash of their messages, and below it they serve SFT; NULL: none
-- Gives prompt_no.
SELECT prompt_no
FROM numbered_prompts
WHERE md5_number_lower('phase/' || messages_digest) / pow(2, 64) < $sft_below
