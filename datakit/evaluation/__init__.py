"""What models can do: benchmarks as ordinary runs, and what these runs say of the models, with intervals."""
