"""Before the first request: what would fail after hours, and what `datakit check` says of a recipe."""
