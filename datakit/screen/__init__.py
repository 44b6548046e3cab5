"""Drawing for the terminal. The files here are given data and never query a run."""
