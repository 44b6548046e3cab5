"""The side of the sandbox that runs in the warm process and its forks: standard library only, and no import in this door."""
