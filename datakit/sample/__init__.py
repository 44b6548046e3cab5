"""The inside of the sample stage: n samples a prompt of every source model."""
