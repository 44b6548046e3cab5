-- How many values of a knowledge base the answers contain.
-- Reads value_counts.
--   $verifier  the verifier's name, with its version and options
-- Returns response_id, n_right, n_wrong, n_left_out.
SELECT response_id, n_right, n_wrong, n_left_out FROM value_counts
WHERE verifier = $verifier
