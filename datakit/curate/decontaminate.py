"""Finds prompts that are benchmark items: whole, embedded in other text, or slightly changed.

There are two steps. A prompt and an item that share a rare run of five tokens are candidates; then the share of 3-grams in
common decides, either of the item (weighted by how rare they are among items) or of the prompt. Equal texts are found at any
length. Items are few and held in memory; prompts are read in batches, and each is decided independently of the others.
"""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from datakit.curate.texts import common_run, grams, masked, numbers, tokens
from datakit.recipe.curate import Decontaminate
from datakit.store import Tables, load_sql
from datakit.tables import Item

N_SHARED, N_CANDIDATE = 3, 5
MOST_ITEMS = 50  # a run of five tokens that occurs in more items is ignored
LEAST_OF_ITEM, LEAST_OF_PROMPT = 4, 6  # shared grams
LEAST_WORDS = 3  # different words that a template must share: a formula with masked numbers is too common
LEAST_CALL = 20  # characters: a call like find(10, 3) tests many functions
ENTRY_SHARE = 0.3  # share of an item that calls the function which the prompt asks for
NEAR = 0.1  # from this share on a match is kept, to be looked at
_ASSERT = re.compile(r"^\s*(assert\s.+)$", re.MULTILINE)
_CALLED = re.compile(r"([A-Za-z_]\w*)\s*\(")


class Met(NamedTuple):
    """A match: a prompt (by number) and the benchmark item that is nearest to it by one rule."""

    number: int
    reason: str
    """contaminated: NAME; template: NAME if the numbers differ; near: NAME if it is not near enough to drop."""
    item: str
    share: float
    text: str
    """The text in common."""


@dataclass(frozen=True)
class Texts:
    """The texts of all items, indexed: tables in one connection, and lists by the texts' numbers."""

    tables: Tables
    words: list[list[str]]
    items: list[Item]
    """The item of each text."""
    equal: dict[str, int]
    """The first text with these tokens, joined by spaces."""

    @classmethod
    def of(cls, items: Iterable[Item], mask: bool = False) -> Texts:
        """Index the texts of items; `mask`: with every number as 0."""
        owners = [(at, item, text) for at, item in enumerate(items) for text in item.texts]
        frame = pl.DataFrame(
            {"item": [at for at, _, _ in owners], "text": [text for _, _, text in owners]},
            schema={"item": pl.UInt32, "text": pl.String},
        )
        frame = frame.with_row_index("number").with_columns(tokens=tokens(pl.col("text")))
        if mask:
            frame = frame.with_columns(tokens=masked(pl.col("tokens")))
        tables = Tables(lambda error: f"decontaminate: {error}")
        tables.keep("texts", frame.select("number", "item"))
        tables.keep("text_grams", grams(frame, N_SHARED))
        tables.keep("text_fives", grams(frame, N_CANDIDATE))
        tables.make_table("weighed_grams", load_sql("curate/weigh_grams"))
        tables.make_table("rare_grams", load_sql("curate/rare_grams"), {"most_items": MOST_ITEMS})
        tables.make_table(
            "texts",
            "SELECT t.number, t.item, w.weight FROM texts AS t "
            "INNER JOIN (SELECT number, sum(weight) AS weight FROM weighed_grams GROUP BY number) AS w ON t.number = w.number",
        )
        words = frame["tokens"].to_list()
        equal: dict[str, int] = {}
        for at, one in enumerate(words):
            equal.setdefault(" ".join(one), at)
        equal.pop("", None)
        return cls(tables, words, [item for _, item, _ in owners], equal)

    def matches(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Return the candidates of a batch (number, and a column of tokens); see sql/curate/match_items.sql."""
        self.tables.keep("batch_grams", grams(batch, N_SHARED))
        self.tables.keep("batch_fives", grams(batch, N_CANDIDATE))
        return self.tables.query(load_sql("curate/match_items"))


@dataclass(frozen=True)
class Benchmarks:
    """All benchmarks of a recipe, as its domain compares them."""

    given: Decontaminate
    texts: Texts
    masked: Texts | None
    """Math: the same texts with every number as 0."""
    asserts: dict[str, int]
    """Code: the number of a text by the content of its assert lines (`asserted`)."""
    functions: list[frozenset[str]]
    """Code: the names that each text calls or defines."""

    @classmethod
    def of(cls, given: Decontaminate, items: list[Item], domain: str) -> Benchmarks:
        texts, is_code = Texts.of(items), domain == "code"
        owned = [text for item in items for text in item.texts] if is_code else []
        asserts = {line: at for at, text in reversed(list(enumerate(owned))) for line in asserted(text)}
        functions = [frozenset(_CALLED.findall(text)) for text in owned]
        return cls(given, texts, Texts.of(items, mask=True) if domain == "math" else None, asserts, functions)

    def meet(self, batch: pl.DataFrame) -> list[Met]:
        """Return the matches of a batch of prompts (number, text, tokens, reference, entry_point), the nearest first.

        A contaminated prompt has one per benchmark; any other at most one as a template and one for the nearest item.
        """
        words = dict(zip(batch["number"].to_list(), batch["tokens"].to_list(), strict=True))
        found = [*self._equal(words), *self._with_equal_asserts(batch), *self._sharing(batch, words)]
        found.sort(key=lambda met: (-met.share, met.reason, met.item))
        best: dict[tuple[int, str], Met] = {}
        for met in found:
            best.setdefault((met.number, met.reason), met)
        contaminated = {number for number, reason in best if reason.startswith("contaminated")}
        nearest: set[tuple[int, str]] = set()
        kept = []
        for met in best.values():
            kind = (met.number, met.reason.partition(":")[0])
            if kind[1] == "contaminated" or (met.number not in contaminated and kind not in nearest):
                nearest.add(kind)
                kept.append(met)
        return kept

    def _equal(self, words: dict[int, list[str]]) -> Iterator[Met]:
        for number, one in words.items():
            at = self.texts.equal.get(" ".join(one))
            if at is not None:
                yield self._met(number, "contaminated", at, 1.0, one)

    def _with_equal_asserts(self, batch: pl.DataFrame) -> Iterator[Met]:
        if not self.asserts:
            return
        for number, text, reference in batch.select("number", "text", "reference").iter_rows():
            for line in asserted(f"{text}\n{reference or ''}"):
                if line in self.asserts:
                    at = self.asserts[line]
                    yield Met(
                        number, f"contaminated: {self.texts.items[at].benchmark}", self.texts.items[at].item_id, 1.0, line
                    )
                    break

    def _sharing(self, batch: pl.DataFrame, words: dict[int, list[str]]) -> Iterator[Met]:
        asked = dict(batch.select("number", "entry_point").iter_rows()) if self.functions else {}
        for number, at, n_shared, item_share, prompt_share in self.texts.matches(batch).iter_rows():
            of_item = n_shared >= LEAST_OF_ITEM and item_share >= self.given.share
            of_prompt = n_shared >= LEAST_OF_PROMPT and prompt_share >= self.given.prompt_share
            same_function = item_share >= ENTRY_SHARE and asked.get(number) in self.functions[at] if self.functions else False
            if of_item or of_prompt or same_function:
                share = prompt_share if of_prompt and not of_item else item_share
                yield self._met(number, "contaminated", at, share, words[number])
            elif item_share >= NEAR:
                yield self._met(number, "near", at, item_share, words[number])
        if self.masked is not None:
            yield from self._templates(self.masked, batch, words)

    def _templates(self, texts: Texts, batch: pl.DataFrame, words: dict[int, list[str]]) -> Iterator[Met]:
        without = batch.select("number", masked(pl.col("tokens")).alias("tokens"), numbers(pl.col("tokens")).alias("numbers"))
        own = dict(without.select("number", "numbers").iter_rows())
        for number, at, n_shared, item_share, _ in texts.matches(without).iter_rows():
            if n_shared < LEAST_OF_ITEM or item_share < self.given.template_share:
                continue
            run = common_run(texts.words[at], [re.sub(r"\d+", "0", word) for word in words[number]])
            differ = " ".join(re.findall(r"\d+", " ".join(self.texts.words[at]))) != own[number]
            if differ and len({word for word in run.split() if word.isalpha()}) >= LEAST_WORDS:
                item = texts.items[at]
                yield Met(number, f"template: {item.benchmark}", item.item_id, item_share, run)

    def _met(self, number: int, reason: str, at: int, share: float, words: list[str]) -> Met:
        item = self.texts.items[at]
        run = common_run(self.texts.words[at], words) or " ".join(words)
        return Met(number, f"{reason}: {item.benchmark}", item.item_id, share, run)


def asserted(text: str) -> list[str]:
    """Return the assert lines of a text without white space, then the calls in them: tests may compare differently.

    Left out are asserts of check(candidate), which name no function, and calls of fewer than LEAST_CALL characters.

    >>> asserted("assert set(shared((3, 4, 5), (5, 7, 4))) == set((4, 5))")
    ['assertset(shared((3,4,5),(5,7,4)))==set((4,5))', 'shared((3, 4, 5), (5, 7, 4))']
    """
    lines = [line for line in _ASSERT.findall(text) if "candidate(" not in line]
    calls = [call for line in lines if (call := _call_in(line)) is not None and len(call) >= LEAST_CALL]
    return ["".join(line.split()) for line in lines] + calls


def _call_in(line: str) -> str | None:
    """Return the outermost call of a function that is not a builtin, in Python's own formatting; None if there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in other people's texts
            tree = ast.parse(line.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    call = next((node for node in calls if isinstance(node.func, ast.Name) and not hasattr(builtins, node.func.id)), None)
    return None if call is None else ast.unparse(call)
