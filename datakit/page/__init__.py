"""What is drawn for a browser: the report in one file, and pages that a server gives. Needs the extra `view`."""
