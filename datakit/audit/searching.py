"""A search in all texts that answers at once: it goes on in a thread of its own, and pages show what it has found so far."""

from __future__ import annotations

from threading import Event, Lock, Thread

import polars as pl

from datakit.store.places import Places

PATIENCE_S = 0.1  # that a page waits for hits
QUESTIONS = "array_to_string([turn.content FOR turn IN messages], ' ')"


class Search:
    """The candidates whose prompt or answers hold the words, letters' case aside; looked for part by part, in page order.

    `numbers`: of every candidate, and where its texts lie; `found`: those that are known to hold them.
    """

    def __init__(self, words: str, responses: Places, prompts: Places, numbers: pl.DataFrame, found: list[int]) -> None:
        self._numbers = numbers
        self._found = list(found)
        self._known, self._n_known = pl.Series([], dtype=pl.Int32), 0
        self._lock = Lock()
        self._stopped = Event()
        self._ended = Event()
        self.done = 0.0
        work = (words, responses, prompts)
        Thread(target=self._run, args=work, name="search", daemon=True).start()

    def found(self) -> pl.Series:
        """Numbers of candidates, so far; waits a moment for the first."""
        self._ended.wait(PATIENCE_S)
        with self._lock:
            if len(self._found) != self._n_known:
                self._n_known, self._known = len(self._found), pl.Series(self._found, dtype=pl.Int32).unique()
            return self._known

    def stop(self) -> None:
        """Give up, after the part that is read now."""
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
            hits = pl.Series(rows, dtype=pl.Int32)
            for side in sides:
                here = (pl.col(f"{side}_part") == part) & pl.col(f"{side}_row").is_in(hits.implode())
                numbers = self._numbers.filter(here)["n"].to_list() if rows else []
                with self._lock:
                    self._found += numbers
            self.done = start + (end - start) * done
            if self._stopped.is_set():
                return
