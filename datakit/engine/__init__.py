"""Worker processes for rows: protocol, local, and worker, the child's side. This file imports nothing: every worker loads
it."""
