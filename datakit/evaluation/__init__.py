"""Evaluate models: benchmarks as ordinary runs, and what these runs say about the models, with intervals."""
