"""Pages of a run's contents: candidates, the lineage of a prompt, flips, failures, dropped prompts, flags.

With a million pairs a page must not scan the run: at the start numbers and ids of all candidates and answers are loaded (a
snapshot; only flags are read again), texts are read by place (store/places.py), and pages are found by key, never by offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import RLock
from typing import Literal

import polars as pl

from datakit.audit.candidates import make_index
from datakit.audit.finding import Filter, Finder
from datakit.audit.lineage import Lineage, find_lineage, name_picked
from datakit.audit.said import Said, is_about
from datakit.audit.searching import Searches
from datakit.audit.texts import Texts
from datakit.domains import domain_of
from datakit.select.rule import rule_in
from datakit.store import Run, load_sql
from datakit.tables import Flag, Row, Rows

PAGE = 10  # pairs per page, each with its texts
LIST = 25  # rows per page of anything else


@dataclass(frozen=True)
class Page:
    """A page of candidates with what is shown of them (`Browsing.with_texts`), and the numbers around them."""

    rows: Rows
    total: int
    """The number of candidates on all pages; while a search is running, those found so far."""
    first: bool
    last: bool
    searched: float | None = None
    """The share of the texts that a search has read; None without one."""


@dataclass(frozen=True)
class Facets:
    """The values that can be filtered by, with the number of candidates, or rows, that have them."""

    reasons: dict[str, int]
    sources: list[str]
    contestants: list[str]
    """The contestants on the page of flips; see sql/browse/index_contestants.sql."""
    outcomes: list[str]
    judges: list[str]
    dropped: dict[str, int]
    failures: dict[str, int]


class Browsing:
    """A run that is browsed. It answers one question at a time; `close` ends searches and closes files."""

    def __init__(self, run: Run) -> None:
        self.run = run
        recipe = run.recipe()
        self.rule = rule_in(run, recipe, domain_of(recipe))
        self._lock = RLock()
        self._texts = Texts(run, self._lock)
        self._reasons = make_index(run, self.rule, self._texts)
        self._said = Said(run)
        self._searches = Searches(run, self._texts)
        self._finder = Finder(run)
        self._models = dict(run.query("SELECT model, model_no FROM browsed_models").rows())
        self._contestants = dict(run.query("SELECT DISTINCT contestant, contestant_no FROM browsed_contestants").rows())
        self.facets = self._find_facets()

    def close(self) -> None:
        """End running searches and close files."""
        self._searches.close()
        self._texts.close()

    def page(self, wanted: Filter, anchor: int | None = None, forward: bool = True, most: int = PAGE) -> Page:
        """Return the candidates after (or before) the one with the number `anchor`, or the first ones."""
        with self._lock:
            only, searched = self._limit(wanted)
            model_no = self._models.get(wanted.source, 0) if wanted.source is not None else 0
            found = self._finder.find(wanted, model_no, only, anchor, forward, most)
            self.run.make_table("picked", load_sql("browse/picked"), {"numbers": found.numbers})
            rows = name_picked(self.run, self._reasons)
        at_start, at_end = (anchor is None, not found.more) if forward else (not found.more, False)
        return Page(self.with_texts(rows), found.total, at_start, at_end, searched)

    def with_texts(self, rows: Rows) -> Rows:
        """Return the candidates with `prompt`, flags, and for `chosen` and `rejected` the text, the verdict and each judge's
        score."""
        sides = [(row, side) for row in rows for side in ("chosen", "rejected")]
        answers = self._texts.answers([(row[f"{side}_id"], row[f"{side}_part"], row[f"{side}_row"]) for row, side in sides])
        verdicts = self._texts.verdicts([_answer(row, side) for row, side in sides if row[f"{side}_id"]], self.rule.verifier)
        asked = self._texts.prompts([(row["prompt_id"], row["prompt_part"], row["prompt_row"]) for row in rows])
        said = self.flags()
        found = []
        for row in rows:
            both: Row = {}
            for side in ("chosen", "rejected"):
                one = row[f"{side}_id"]
                by_judge = dict(zip(self.facets.judges, row[f"{side}_by_judge"] or (), strict=False))
                more = {"verdict": verdicts.get(one, {}), "by_judge": by_judge}
                both[side] = answers[one] | more if one in answers else None
            flags = [flag for flag in said if is_about(flag, row)]
            found.append({**row, **both, "prompt": asked.get(row["prompt_id"]), "flags": flags})
        return found

    def lineage(self, prompt_id: str) -> Lineage:
        """Return the fate of a prompt and of every answer to it. Raises BadInput if the run has no such prompt."""
        with self._lock:
            return find_lineage(self.run, self._reasons, self._texts, self.flags(), prompt_id)

    def flips(self, better: str, worse: str, after: int = 0) -> tuple[Rows, int]:
        """Return prompts that one contestant got right and the other did not, with both texts; and their total number."""
        with self._lock:
            numbers = {"better": self._contestants.get(better, 0), "worse": self._contestants.get(worse, 0)}
            params = {**numbers, "after": after, "most": PAGE}
            rows = self.run.query(load_sql("browse/flips"), params).to_dicts()
            both = [row[side] | {"prompt_id": row["prompt_id"]} for row in rows for side in ("right", "wrong")]
            texts = self._texts.answers([(one["response_id"], one["part"], one["row"]) for one in both])
            verdicts = self._texts.verdicts(both, self.rule.verifier)
            asked = self._texts.prompts([(row["prompt_id"], row["part"], row["row"]) for row in rows])
            for row in rows:
                for side, model in (("right", better), ("wrong", worse)):
                    one = row[side]["response_id"]
                    scores = dict(zip(self.facets.judges, row[side]["by_judge"] or (), strict=False))
                    row[side] |= {**texts.get(one, {}), "verdict": verdicts.get(one, {}), "model": model, "by_judge": scores}
            return [{**row, "prompt": asked.get(row["prompt_id"], {})} for row in rows], int(rows[0]["total"]) if rows else 0

    def dropped(self, reason: str | None, after: str = "") -> Rows:
        """Return a page of dropped prompts, with what they met."""
        with self._lock:
            params = {"reason": reason, "after": after, "most": LIST}
            return self.run.query(load_sql("browse/dropped"), params).to_dicts()

    def failures(self, cause: str | None, after: str = "") -> Rows:
        """Return a page of the failures that still stand."""
        with self._lock:
            return self.run.query(load_sql("browse/failures"), {"cause": cause, "after": after, "most": LIST}).to_dicts()

    def flags(self) -> Rows:
        """Return the flags that count now, also those on what is no longer a pair; the latest first."""
        with self._lock:
            return self._said.standing()

    def flag(self, ids: Mapping[str, str], flag: Flag | Literal["undo"], note: str | None, who: str) -> None:
        """See Said.say."""
        self._said.say(ids, flag, note, who)

    def _limit(self, wanted: Filter) -> tuple[pl.Series | None, float | None]:
        """Return a mask of the candidates that match the search and the flags, and the share of texts that the search has
        read."""
        only: pl.Series | None = None
        searched = None
        if wanted.words is not None:
            search = self._searches.of(wanted.words)
            only, searched = search.found(), search.done
        if wanted.flagged is not None:
            self.flags()
            flagged = self._finder.mask(self.run.query(load_sql("browse/flagged"), {"flag": wanted.flagged})["n"])
            only = flagged if only is None else only & flagged
        return only, searched

    def _find_facets(self) -> Facets:
        def counted(query: str) -> dict[str, int]:
            return dict(self.run.query(query).rows())

        outcomes = self.run.query("SELECT DISTINCT outcome FROM browsed_answers WHERE outcome IS NOT NULL ORDER BY 1")
        return Facets(
            reasons=counted(
                "SELECT coalesce(lost, 'pair') AS reason, count(*) AS n FROM browsed GROUP BY 1 ORDER BY n DESC, 1"
            ),
            sources=sorted(self._models),
            contestants=sorted(self._contestants),
            outcomes=outcomes["outcome"].to_list(),
            judges=self.run.query("SELECT judge FROM judges ORDER BY 1")["judge"].to_list(),
            dropped=counted(
                "SELECT dropped, count(*) AS n FROM prompts WHERE dropped IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1"
            ),
            failures=counted(
                "SELECT concat(stage, ', ', source, ': ', error) AS cause, count(*) AS n FROM current_failures "
                "GROUP BY 1 ORDER BY n DESC, 1"
            ),
        )


def _answer(row: Row, side: str) -> Row:
    """Return the fields of one side of a candidate that `Texts.verdicts` needs."""
    names = {"response_id": "id", "outcome": "outcome", "verdict_part": "verdict_part", "verdict_row": "verdict_row"}
    return {"prompt_id": row["prompt_id"], **{name: row[f"{side}_{part}"] for name, part in names.items()}}
