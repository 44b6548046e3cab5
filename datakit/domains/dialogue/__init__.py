"""Dialogue over a knowledge base: prompts contain what was retrieved, and an answer is right if its values are."""
