-- The prompts that serve SFT by their own hash, before any rule (select.split: hash). Kept as the temporary table `placed`.
-- Reads numbered_prompts.
--   $sft_below  the share of SFT: a hash of its messages gives each prompt a number from 0 to 1; below $sft_below it serves
--               SFT; NULL: none
-- Returns prompt_no.
SELECT prompt_no
FROM numbered_prompts
WHERE md5_number_lower('phase/' || messages_digest) / pow(2, 64) < $sft_below
