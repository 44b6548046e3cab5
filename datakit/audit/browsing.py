"""Pages of what a run holds: candidates, the lineage of a prompt, flips, failures, dropped prompts, flags.

At a million pairs a page must not read the run: at the start numbers and ids of all candidates and answers go to memory (a
snapshot; flags alone are looked at anew), texts are read by place (store/places.py), and pages go by keyset, never by offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import Literal

import polars as pl

from datakit.audit.searching import Search
from datakit.domains import domain_of
from datakit.errors import BadInput
from datakit.select.rule import Rule, make_candidates, rule_in
from datakit.store import Run, load_sql
from datakit.store.flags import Flags
from datakit.store.places import Place, Places
from datakit.tables import TABLES, Flag, Row, Rows

PAGE = 10  # pairs of one page, each with its texts
LIST = 25  # rows of a page of anything else
ANSWER = ("text", "reasoning", "sample_index", "seed", "latency_s", "n_reasoning_tokens")
PROMPT = ("messages", "reference", "solution", "source", "category", "dropped")
FOUND_KEPT = 8  # searches that are not begun anew when they are asked for again

PLACED = {"response": "response_id", "prompt": "prompt_id", "verdict": "response_id, verifier, reference_digest"}
"""Of which tables the places are looked up, and by which columns."""

Sort = Literal["n", "margin", "longer", "against"]


@dataclass(frozen=True)
class Filter:
    """Which candidates are shown, and in which order; see sql/browse/page.sql."""

    reason: str = "pair"
    source: str | None = None
    outcome: str | None = None
    margin_low: float | None = None
    margin_high: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    against: bool = False
    flagged: str | None = None
    words: str | None = None
    sort: Sort = "n"
    descends: bool = False


@dataclass(frozen=True)
class Page:
    """Some candidates with their texts (`chosen`, `rejected`, `prompt`: rows), and what there is beside them."""

    rows: Rows
    total: int
    """Of all pages; what a search that goes on has found so far."""
    first: bool
    last: bool
    searched: float | None = None
    """The share that a search has looked through; None without one."""


@dataclass(frozen=True)
class Lineage:
    """All that is known of a prompt."""

    prompt: Row
    answers: Rows
    """The columns of sql/browse/lineage.sql, with text, thought, verdict, scores by judge; the best first."""
    candidates: Rows
    failures: Rows
    overlaps: Rows
    flags: Rows


@dataclass(frozen=True)
class Facets:
    """What can be filtered by: values with how many candidates, or rows, have them."""

    reasons: dict[str, int]
    sources: list[str]
    outcomes: list[str]
    judges: list[str]
    dropped: dict[str, int]
    failures: dict[str, int]


@dataclass
class Browsing:
    """A run that is looked at. One question is answered at a time; `close` ends searches and lets files go."""

    run: Run
    rule: Rule = field(init=False)
    facets: Facets = field(init=False)

    def __post_init__(self) -> None:
        recipe = self.run.recipe()
        self.rule = rule_in(self.run, recipe, domain_of(recipe))
        self._lock = RLock()
        self._flags = Flags(self.run.folder)
        self._places = {table: Places(self.run.folder, table) for table in (f"{name}s" for name in PLACED)}
        self._searches: dict[str, Search] = {}
        self._flagged: Rows = []
        self._flags_size = -1
        self._limited: tuple[object, ...] = ()
        make_candidates(self.run, self.rule, whole=True)
        for name, columns in PLACED.items():
            empty = ", ".join(f"NULL::VARCHAR AS {column}" for column in columns.split(", "))
            indexed = f"SELECT {empty} WHERE FALSE UNION ALL BY NAME {self._places[f'{name}s'].indexed(columns)}"
            self.run.make_table(f"{name}_places", indexed)
        self.run.make_table("browsed_models", "SELECT DISTINCT model_no, model FROM numbered_sources")
        self.run.make_table("browsed_prompts", load_sql("browse/index_prompts"))
        self.run.make_table("browsed_answers", load_sql("browse/index_answers"), {"verifier": self.rule.verifier})
        self.run.make_table("browsed", load_sql("browse/index_pairs"))
        for name in ("answers", "matched", "placed", "pair_candidates", "faults", *(f"{one}_places" for one in PLACED)):
            self.run.make_table(name, "SELECT NULL AS nothing LIMIT 0")  # their memory goes
        self._numbers = self.run.query(
            "SELECT n, chosen_part, chosen_row, rejected_part, rejected_row, p.part AS prompt_part, p.row AS prompt_row "
            "FROM browsed INNER JOIN browsed_prompts AS p USING (prompt_no)"
        )
        self._models = dict(self.run.query("SELECT model, model_no FROM browsed_models").rows())
        lacking = "chosen_no IS NOT NULL AND chosen_part IS NULL OR rejected_no IS NOT NULL AND rejected_part IS NULL"
        without = (
            f"SELECT (SELECT count(*) FROM browsed WHERE {lacking}) + (SELECT count(*) FROM browsed_prompts WHERE part IS NULL)"
        )
        self._unplaced = self.run.query(without).item() > 0
        self.facets = self._find_facets()

    def close(self) -> None:
        """End what still searches, and let the files go."""
        for search in self._searches.values():
            search.stop()
        for places in self._places.values():
            places.close()

    def page(self, wanted: Filter, anchor: int | None = None, forward: bool = True, most: int = PAGE) -> Page:
        """The candidates after (or before) the one with the number `anchor`, or the first ones."""
        with self._lock:
            searched = self._limit(wanted)
            values = {
                name: getattr(wanted, name)
                for name in ("reason", "outcome", "margin_low", "margin_high", "ratio_low", "ratio_high", "against")
            }
            values["source"] = None if wanted.source is None else self._models.get(wanted.source, 0)
            place = {"sort": wanted.sort, "descends": wanted.descends, "anchor": anchor, "forward": forward}
            limits = wanted.words is not None or wanted.flagged is not None
            params = {**values, **place, "limits": limits, "most": most + 1}
            self.run.make_table("picked", load_sql("browse/page"), params)
            rows = self.run.query(load_sql("browse/named")).to_dicts()
        more = len(rows) > most
        rows = (rows[:most] if forward else rows[-most:]) if more else rows
        total = int(rows[0]["total"]) if rows else 0
        at_start, at_end = (anchor is None, not more) if forward else (not more, False)
        return Page(self.with_texts(rows), total, at_start, at_end, searched)

    def with_texts(self, rows: Rows) -> Rows:
        """Candidates with `chosen`, `rejected` and `prompt`: rows of their tables, or None."""
        answers = self._texts(
            [(row[f"{side}_id"], row[f"{side}_part"], row[f"{side}_row"]) for row in rows for side in ("chosen", "rejected")]
        )
        asked = self._read("prompts", [(row["prompt_id"], row["prompt_part"], row["prompt_row"]) for row in rows], PROMPT)
        said = self.flags()
        return [
            {
                **row,
                "chosen": answers.get(row["chosen_id"]),
                "rejected": answers.get(row["rejected_id"]),
                "prompt": asked.get(row["prompt_id"]),
                "flags": [flag for flag in said if _is_about(flag, row)],
            }
            for row in rows
        ]

    def lineage(self, prompt_id: str) -> Lineage:
        """What became of a prompt and of every answer to it. BadInput where the run has no such prompt."""
        with self._lock:
            prompts = self.run.query("SELECT * FROM prompts WHERE prompt_id = $id", {"id": prompt_id}).to_dicts()
            if not prompts:
                raise BadInput(f"{self.run.folder}: no prompt has the id '{prompt_id}'")
            params = {"prompt_id": prompt_id, "verified": self.rule.verifier is not None, "wrong": list(self.rule.wrong)}
            answers = self.run.query(load_sql("browse/lineage"), params).to_dicts()
            texts = self._texts([(row["response_id"], row["part"], row["row"]) for row in answers])
            verdicts = self._verdicts(answers)
            answers = [
                {
                    **row,
                    **texts.get(row["response_id"], {}),
                    "verdict": verdicts.get(row["response_id"], {}),
                    "by_judge": dict(zip(self.facets.judges, row["by_judge"] or (), strict=False)),
                }
                for row in answers
            ]
            known = {"id": prompt_id}
            failures = (
                "SELECT * FROM current_failures WHERE key IN (SELECT response_id FROM wanted_responses WHERE prompt_id = $id)"
            )
            numbered = "SELECT prompt_no FROM browsed_prompts WHERE prompt_id = $id"
            mine = f"SELECT *, n AS place FROM browsed WHERE prompt_no = ({numbered})"
            self.run.make_table("picked", mine, known)
            candidates = self.run.query(load_sql("browse/named")).to_dicts()
            ids = {prompt_id, *(row["response_id"] for row in answers)}
            return Lineage(
                prompts[0],
                answers,
                candidates,
                self.run.query(failures, known).to_dicts() if self.facets.failures else [],
                self.run.query("SELECT * FROM overlaps WHERE prompt_id = $id ORDER BY share DESC", known).to_dicts(),
                [flag for flag in self.flags() if ids & {flag["prompt_id"], flag["response_id"], flag["chosen_id"]}],
            )

    def flips(self, better: str, worse: str, after: int = 0, most: int = PAGE) -> tuple[Rows, int]:
        """Prompts that one model got right and the other did not: right and wrong answer with texts; and how many there are."""
        with self._lock:
            numbers = {"better": self._models.get(better, 0), "worse": self._models.get(worse, 0)}
            params = {**numbers, "after": after, "most": most}
            rows = self.run.query(load_sql("browse/flips"), params).to_dicts()
            both = [row[side] for row in rows for side in ("right", "wrong")]
            texts, verdicts = self._texts([(one["response_id"], one["part"], one["row"]) for one in both]), self._verdicts(both)
            for row in rows:
                row["right"]["model"], row["wrong"]["model"] = better, worse
            for one in both:
                one |= {**texts.get(one["response_id"], {}), "verdict": verdicts.get(one["response_id"], {})}
            places = [(row["prompt_id"], row["part"], row["row"]) for row in rows]
            asked = self._read("prompts", places, PROMPT)
            return [{**row, "prompt": asked.get(row["prompt_id"], {})} for row in rows], int(rows[0]["total"]) if rows else 0

    def dropped(self, reason: str | None, after: str = "") -> Rows:
        """Prompts that are left out, with what they met."""
        with self._lock:
            params = {"reason": reason, "after": after, "most": LIST}
            return self.run.query(load_sql("browse/dropped"), params).to_dicts()

    def failures(self, cause: str | None, after: str = "") -> Rows:
        """Failures that still stand."""
        with self._lock:
            return self.run.query(load_sql("browse/failures"), {"cause": cause, "after": after, "most": LIST}).to_dicts()

    def flags(self) -> Rows:
        """What people say now, also of what is no pair any more; the last first."""
        with self._lock:
            self._look_at_flags()
            return self._flagged

    def flag(self, ids: Mapping[str, str], flag: Flag | Literal["undo"], note: str | None, who: str) -> None:
        """Say something of a prompt, a response or a pair (`target` and its ids); undo: what `who` said before holds again."""
        row: Row = {**ids, "flag": flag, "note": note, "who": who}
        mine = [said for said in self._flags.rows() if all(said.get(name) == row.get(name) for name in (*ids, "who"))]
        if flag == "undo":
            before = mine[-2] if len(mine) > 1 else {"flag": "clear", "note": None}
            row |= {"flag": before["flag"], "note": before["note"]}
        elif flag == "note" and mine and mine[-1]["flag"] in ("exclude", "keep"):
            row["flag"] = mine[-1]["flag"]  # a note does not take back what was said
        elif note is None and mine and flag != "clear":
            row["note"] = mine[-1]["note"]
        self._flags.add([row])

    def _look_at_flags(self) -> None:
        if (size := self._flags.size) != self._flags_size:
            self._flags_size = size
            self.run.keep("flags_now", TABLES["flags"].frame(self._flags.rows()))
            standing = load_sql("views/current_flags").replace("FROM flags", "FROM flags_now")
            self.run.make_table("standing", standing)
            self._flagged = self.run.query('SELECT * FROM standing ORDER BY "at" DESC').to_dicts()

    def _limit(self, wanted: Filter) -> float | None:
        """Make the temporary table `limited`: the numbers that a search and flags leave. Gives how far the search has come."""
        self._look_at_flags()
        numbers: pl.Series | None = None
        searched = None
        if wanted.words is not None:
            search = self._search(wanted.words)
            numbers, searched = search.found(), search.done
        made_of = (wanted.words, wanted.flagged, self._flags_size, None if numbers is None else numbers.len())
        if made_of == self._limited:
            return searched
        self._limited = made_of
        if wanted.flagged is not None:
            flagged = self.run.query(load_sql("browse/flagged"), {"flag": wanted.flagged})["n"]
            numbers = flagged if numbers is None else numbers.filter(numbers.is_in(flagged.implode()))
        self.run.keep("limited", pl.DataFrame({"n": numbers if numbers is not None else pl.Series([], dtype=pl.Int32)}))
        return searched

    def _search(self, words: str) -> Search:
        if words not in self._searches:
            while len(self._searches) >= FOUND_KEPT:
                self._searches.pop(next(iter(self._searches))).stop()
            for other in self._searches.values():
                other.stop()
            self._searches = {known: search for known, search in self._searches.items() if search.done >= 1}
            unplaced = self.run.query(load_sql("browse/unplaced"), {"words": words})["n"].to_list() if self._unplaced else []
            places = self._places["responses"], self._places["prompts"]
            self._searches[words] = Search(words, *places, self._numbers, unplaced)
        return self._searches[words]

    def _texts(self, wanted: list[tuple[str | None, int | None, int | None]]) -> dict[str, Row]:
        return self._read("responses", wanted, ANSWER)

    def _verdicts(self, answers: Rows) -> dict[str, Row]:
        placed = [(row["response_id"], row["verdict_part"], row["verdict_row"]) for row in answers]
        return self._read("verdicts", [one for one in placed if one[1] is not None], ("extracted", "detail"))

    def _read(
        self, table: str, wanted: list[tuple[str | None, int | None, int | None]], columns: tuple[str, ...]
    ) -> dict[str, Row]:
        """Rows by id: by their place, or where they have none by their id."""
        places = {
            key: Place(part, row) for key, part, row in wanted if key is not None and part is not None and row is not None
        }
        read = self._places[table].read(places.values(), columns)
        found = {key: read[place] for key, place in places.items()}
        others = [key for key, *_ in wanted if key is not None and key not in places]
        if others and table != "verdicts":
            name = "response_id" if table == "responses" else "prompt_id"
            query = f"SELECT {name} AS key, {', '.join(columns)} FROM {table} WHERE list_contains($ids::VARCHAR[], {name})"
            with self._lock:
                rows = self.run.query(query, {"ids": others}).to_dicts()
            found |= {row.pop("key"): row for row in rows}
        return found

    def _find_facets(self) -> Facets:
        def counted(query: str) -> dict[str, int]:
            return dict(self.run.query(query).rows())

        outcomes = self.run.query("SELECT DISTINCT outcome FROM browsed_answers WHERE outcome IS NOT NULL ORDER BY 1")
        return Facets(
            reasons=counted(
                "SELECT coalesce(lost, 'pair') AS reason, count(*) AS n FROM browsed GROUP BY 1 ORDER BY n DESC, 1"
            ),
            sources=sorted(self._models),
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


def _is_about(flag: Row, pair: Row) -> bool:
    """Whether a flag is of a pair, of one of its answers or of its prompt."""
    match flag["target"]:
        case "prompt":
            return bool(flag["prompt_id"] == pair["prompt_id"])
        case "response":
            return flag["response_id"] in (pair["chosen_id"], pair["rejected_id"])
    return (flag["chosen_id"], flag["rejected_id"]) == (pair["chosen_id"], pair["rejected_id"])
