"""Code: programs that are run against the tests of their prompt."""
