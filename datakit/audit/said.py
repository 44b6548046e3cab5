"""The flags of a run that count now, and adding another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from datakit.store import Run, load_sql
from datakit.store.flags import Flags
from datakit.tables import TABLES, Flag, Row, Rows


class Said:
    """The flags of a run, read again whenever somebody has added one. Keeps them as the temporary table `standing`."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._flags = Flags(run.folder)
        self._standing: Rows = []
        self.size = -1

    def standing(self) -> Rows:
        """Return the flags that count, also those on what is no longer a pair; the latest first."""
        if (size := self._flags.size) != self.size:
            self.size = size
            self._run.keep("flags_now", TABLES["flags"].frame(self._flags.rows()))
            self._run.make_table("standing", load_sql("views/current_flags").replace("FROM flags", "FROM flags_now"))
            self._standing = self._run.query('SELECT * FROM standing ORDER BY "at" DESC').to_dicts()
        return self._standing

    def say(self, ids: Mapping[str, str], flag: Flag | Literal["undo"], note: str | None, who: str) -> None:
        """Add a flag on a prompt, a response or a pair (`target` and its ids); undo restores the previous flag of `who`."""
        row: Row = {**ids, "flag": flag, "note": note, "who": who}
        mine = [said for said in self._flags.rows() if all(said.get(name) == row.get(name) for name in (*ids, "who"))]
        if flag == "undo":
            before = mine[-2] if len(mine) > 1 else {"flag": "clear", "note": None}
            row |= {"flag": before["flag"], "note": before["note"]}
        elif flag == "note" and mine and mine[-1]["flag"] in ("exclude", "keep"):
            row["flag"] = mine[-1]["flag"]  # a note does not undo an exclude or keep
        elif note is None and mine and flag != "clear":
            row["note"] = mine[-1]["note"]
        self._flags.add([row])


def is_about(flag: Row, pair: Row) -> bool:
    """Return whether a flag is on the pair, on one of its answers or on its prompt."""
    match flag["target"]:
        case "prompt":
            return bool(flag["prompt_id"] == pair["prompt_id"])
        case "response":
            return flag["response_id"] in (pair["chosen_id"], pair["rejected_id"])
    return (flag["chosen_id"], flag["rejected_id"]) == (pair["chosen_id"], pair["rejected_id"])
