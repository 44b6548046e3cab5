"""Checks before the first request: what would fail after hours, and what `datakit check` reports on a recipe."""
