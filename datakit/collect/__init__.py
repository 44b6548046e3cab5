"""The collect stage: prompts, and responses that exist already."""
