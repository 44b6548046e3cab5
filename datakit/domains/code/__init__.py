"""Code: programs run against the tests of their prompt."""
