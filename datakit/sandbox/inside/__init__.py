"""The side of the sandbox that runs in the warm process and its forks: standard library only. This file imports nothing."""
