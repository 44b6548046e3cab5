"""Search all texts and answer at once: the search runs in its own thread, and pages show what it has found so far."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event, Lock, Thread

import polars as pl

from datakit.audit.texts import Texts
from datakit.store import Run, load_sql
from datakit.store.places import Places

PATIENCE_S = 0.1  # how long a page waits for the first hits
QUESTIONS = "array_to_string([turn.content FOR turn IN messages], ' ')"
KEPT = 8  # searches whose results are kept
PLACES = (
    "SELECT n, chosen_part, chosen_row, rejected_part, rejected_row, p.part AS prompt_part, p.row AS prompt_row "
    "FROM browsed INNER JOIN browsed_prompts AS p USING (prompt_no)"
)
UNPLACED = (
    "SELECT EXISTS (FROM browsed WHERE chosen_no IS NOT NULL AND chosen_part IS NULL "
    "OR rejected_no IS NOT NULL AND rejected_part IS NULL) OR EXISTS (FROM browsed_prompts WHERE part IS NULL)"
)

Homes = Mapping[str, Mapping[int, pl.DataFrame]]
"""The rows of texts and the numbers of their candidates, by side and part."""


class Search:
    """A search for the candidates whose prompt or answers contain the words, ignoring case; part by part, in page order.

    `found`: the candidates that are known from the start.
    """

    def __init__(self, words: str, texts: Texts, homes: Homes, found: pl.Series, n_candidates: int) -> None:
        self._homes = homes
        self._new = [found]
        self._mask = pl.repeat(False, n_candidates, dtype=pl.Boolean, eager=True)
        self._lock = Lock()
        self._stopped = Event()
        self._ended = Event()
        self.done = 0.0
        work = (words, texts.places["responses"], texts.places["prompts"])
        Thread(target=self._run, args=work, name="search", daemon=True).start()

    def found(self) -> pl.Series:
        """Return a mask of the candidates found so far; wait up to PATIENCE_S for the first."""
        self._ended.wait(PATIENCE_S)
        with self._lock:
            new, self._new = self._new, []
            for numbers in new:
                self._mask.scatter(numbers - 1, True)
            return self._mask.clone()

    def stop(self) -> None:
        """Stop after the part that is being read."""
        self._stopped.set()

    def _run(self, words: str, responses: Places, prompts: Places) -> None:
        try:
            self._look(prompts, QUESTIONS, words, ("prompt",), 0.0, 0.1)
            self._look(responses, "text", words, ("chosen", "rejected"), 0.1, 1.0)
        finally:
            self.done = 1.0
            self._ended.set()

    def _look(self, places: Places, text: str, words: str, sides: tuple[str, ...], start: float, end: float) -> None:
        for part, rows, done in places.search(text, words):
            hits = pl.DataFrame({"row": pl.Series(rows, dtype=pl.Int32)})
            for side in sides:
                if rows and part in self._homes[side]:
                    numbers = self._homes[side][part].join(hits, on="row", how="semi")["n"]
                    with self._lock:
                        self._new.append(numbers)
            self.done = start + (end - start) * done
            if self._stopped.is_set():
                return


class Searches:
    """The latest searches; a new one ends the one that is running."""

    def __init__(self, run: Run, texts: Texts) -> None:
        self._run = run
        self._texts = texts
        self._known: dict[str, Search] = {}
        self._homes: Homes | None = None
        self._unplaced = bool(run.query(UNPLACED).item())
        self._n_candidates = run.query("SELECT count(*) FROM browsed").item()

    def close(self) -> None:
        """End the running search."""
        for search in self._known.values():
            search.stop()

    def of(self, words: str) -> Search:
        """Return the search for these words, and begin it if it is not there."""
        if words not in self._known:
            while len(self._known) >= KEPT:
                self._known.pop(next(iter(self._known))).stop()
            for other in self._known.values():
                other.stop()
            self._known = {known: search for known, search in self._known.items() if search.done >= 1}
            if self._homes is None:
                self._homes = self._find_homes()
            query = "browse/unplaced"
            found = self._run.query(load_sql(query), {"words": words})["n"] if self._unplaced else pl.Series([], dtype=pl.Int32)
            self._known[words] = Search(words, self._texts, self._homes, found, self._n_candidates)
        return self._known[words]

    def _find_homes(self) -> Homes:
        places = self._run.query(PLACES)
        homes = {}
        for side in ("chosen", "rejected", "prompt"):
            named = places.select("n", part=f"{side}_part", row=f"{side}_row").drop_nulls()
            parts = named.partition_by("part", as_dict=True)
            homes[side] = {int(part): rows.select("n", "row") for (part,), rows in parts.items()}
        return homes
