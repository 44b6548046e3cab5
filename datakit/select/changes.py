"""Compare two selections, as the tables before_pairs and before_demos, after_pairs and after_demos, and list what came, went or
changed. The rows stay in SQL.
"""

from __future__ import annotations

from datakit.select.rule import Rule, naming_demos, naming_pairs
from datakit.store import Run, load_sql


def hold_stored(run: Run) -> None:
    """Make the views before_pairs and before_demos: what the run has stored."""
    for table in ("pairs", "demos"):
        run.make_view(f"before_{table}", f"SELECT * FROM {table}")


def hold_selected(run: Run, rule: Rule) -> None:
    """Make the tables after_pairs and after_demos: what the candidates of `make_candidates` give."""
    run.make_table("after_pairs", *naming_pairs(rule))
    run.make_table("after_demos", *naming_demos(rule))


def find_changes(run: Run) -> int:
    """Make the temporary tables `pair_changes` and `demo_changes`; return how many rows they have together."""
    for table in ("pair_changes", "demo_changes"):
        run.make_table(table, load_sql(f"select/{table}"))
    return int(run.query("SELECT (SELECT count(*) FROM pair_changes) + (SELECT count(*) FROM demo_changes) AS n")["n"][0])
