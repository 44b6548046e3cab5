"""Read texts of a run by place: ten of a million without a scan; texts that have no place yet are found by id."""

from __future__ import annotations

from threading import RLock

from datakit.store import Run, load_sql
from datakit.store.places import Place, Places
from datakit.tables import Row, Rows

ANSWER = ("text", "reasoning", "sample_index", "seed", "latency_s", "n_reasoning_tokens")
PROMPT = ("messages", "reference", "solution", "source", "category", "dropped")
VERDICT = ("extracted", "detail")

PLACED = {"response": "response_id", "prompt": "prompt_id", "verdict": "response_id, verifier, reference_digest"}
"""The kinds of rows whose places are looked up, and their key columns."""

Where = tuple[str | None, int | None, int | None]
"""An id, and the part and row in which it is stored."""


class Texts:
    """Prompts, answers and verdicts of a run. `placed`: False if so few are read that looking up places is not worth it."""

    def __init__(self, run: Run, lock: RLock, placed: bool = True) -> None:
        self._run = run
        self._lock = lock
        self._placed = placed
        self.places = {f"{name}s": Places(run.folder, f"{name}s") for name in PLACED}

    def close(self) -> None:
        """Close the files."""
        for places in self.places.values():
            places.close()

    def make_places(self) -> None:
        """Make the temporary tables response_places, prompt_places and verdict_places: ids with part and row."""
        for name, columns in PLACED.items():
            empty = ", ".join(f"NULL::VARCHAR AS {column}" for column in columns.split(", "))
            nothing = f"SELECT {empty}, NULL::INTEGER AS part, NULL::INTEGER AS row WHERE FALSE"
            indexed = f" UNION ALL BY NAME {self.places[f'{name}s'].indexed(columns)}" if self._placed else ""
            self._run.make_table(f"{name}_places", nothing + indexed)

    def drop_places(self) -> None:
        """Drop these tables to free their memory."""
        for name in PLACED:
            self._run.make_table(f"{name}_places", "SELECT NULL AS nothing LIMIT 0")

    def answers(self, wanted: list[Where]) -> dict[str, Row]:
        """Return the answers by response_id."""
        return self._read("responses", "response_id", wanted, ANSWER)

    def prompts(self, wanted: list[Where]) -> dict[str, Row]:
        """Return the prompts by prompt_id."""
        return self._read("prompts", "prompt_id", wanted, PROMPT)

    def verdicts(self, answers: Rows, verifier: str | None) -> dict[str, Row]:
        """Return the verdicts by response_id, for rows with response_id, prompt_id, outcome, verdict_part and verdict_row."""
        wanted = [(row["response_id"], row["verdict_part"], row["verdict_row"]) for row in answers]
        found = self._read_placed("verdicts", wanted, VERDICT)
        others = [row["response_id"] for row in answers if row["outcome"] is not None and row["response_id"] not in found]
        if others:
            params = {"verifier": verifier, "ids": others, "prompts": list({row["prompt_id"] for row in answers})}
            with self._lock:
                rows = self._run.query(load_sql("browse/verdicts"), params).to_dicts()
            found |= {row.pop("response_id"): row for row in rows}
        return found

    def _read(self, table: str, key: str, wanted: list[Where], columns: tuple[str, ...]) -> dict[str, Row]:
        found = self._read_placed(table, wanted, columns)
        others = [one for one, *_ in wanted if one is not None and one not in found]
        if others:
            query = f"SELECT {key} AS key, {', '.join(columns)} FROM {table} WHERE list_contains($ids::VARCHAR[], {key})"
            with self._lock:
                rows = self._run.query(query, {"ids": others}).to_dicts()
            found |= {row.pop("key"): row for row in rows}
        return found

    def _read_placed(self, table: str, wanted: list[Where], columns: tuple[str, ...]) -> dict[str, Row]:
        known = ((one, part, row) for one, part, row in wanted if one is not None)
        places = {one: Place(part, row) for one, part, row in known if part is not None and row is not None}
        read = self.places[table].read(places.values(), columns)
        return {one: read[place] for one, place in places.items()}
