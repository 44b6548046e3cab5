"""The inside of the collect stage: prompts and responses that exist already."""
