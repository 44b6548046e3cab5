"""The sample stage: n samples per prompt from every source model."""
