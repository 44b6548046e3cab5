"""Two selections side by side, as tables: before_pairs and before_demos, after_pairs and after_demos, and what came, went or
changed. No row of them leaves SQL here.
"""

from __future__ import annotations

from datakit.select.rule import Rule, naming_demos, naming_pairs
from datakit.store import Run, load_sql


def hold_stored(run: Run) -> None:
    """What the run holds is `before`."""
    for table in ("pairs", "demos"):
        run.make_view(f"before_{table}", f"SELECT * FROM {table}")


def hold_selected(run: Run, rule: Rule) -> None:
    """What the candidates of `make_candidates` give is `after`."""
    run.make_table("after_pairs", *naming_pairs(rule))
    run.make_table("after_demos", *naming_demos(rule))


def find_changes(run: Run) -> int:
    """Make the temporary tables `pair_changes` and `demo_changes`; returns how many rows both have."""
    for table in ("pair_changes", "demo_changes"):
        run.make_table(table, load_sql(f"select/{table}"))
    return int(run.query("SELECT (SELECT count(*) FROM pair_changes) + (SELECT count(*) FROM demo_changes) AS n")["n"][0])
