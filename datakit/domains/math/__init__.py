"""Mathematics: final answers compared with a reference."""
