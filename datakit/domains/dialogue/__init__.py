"""Dialogue over a knowledge base: prompts carry what was retrieved, and an answer is right when its values are."""
