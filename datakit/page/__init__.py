"""HTML: the report in one file, and the pages of the local server. Needs the extra `view`."""
