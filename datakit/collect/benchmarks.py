"""The items of the benchmarks that a recipe names, which no prompt may repeat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from datakit.collect.formats import place_of
from datakit.collect.rows import read_raw, read_rows, value_at
from datakit.collect.tally import Tally
from datakit.errors import BadInput
from datakit.recipe import Against, FilePrompts, HubPrompts, Recipe
from datakit.recipe.benchmarks import Benchmark, load_suite
from datakit.tables import Item, Row


def read_items(recipe: Recipe) -> Iterator[Item]:
    """Yield every item of every benchmark. Raise BadInput for a missing file or column, RecipeError for an unknown name."""
    for given in recipe.curate.benchmarks:
        if given.section is not None:
            yield from _some(_read(given, given.section), given.name)
        elif given.benchmark is not None:
            for benchmark, _ in load_suite(given.benchmark)[1]:
                yield from _some(items_of(benchmark), benchmark.name)


def _some(items: Iterator[Item], name: str) -> Iterator[Item]:
    first = next(items, None)
    if first is None:
        raise BadInput(f"{name}: no items found; check the path and the split")
    yield first
    yield from items


def _read(given: Against, section: FilePrompts | HubPrompts) -> Iterator[Item]:
    """Yield items by the column names of the file itself."""
    for where, number, row in read_raw(section, Tally(section)):
        texts = tuple(text for column in given.texts if (text := _joined(row, column)))
        if not texts:
            there = ", ".join(sorted(map(str, row)))[:200]
            raise BadInput(
                f"{place_of(where, number)}: no text in {' or '.join(given.texts)}; name the columns of {given.name} that hold "
                f"an item's texts (curate.decontaminate.against: texts: [...]); there are: {there}"
            )
        identity, named = value_at(row, given.id), given.called or row.get("benchmark")
        called = named if isinstance(named, str) else PurePath(where.rpartition(":")[0]).name.partition(".")[0]
        yield Item(called, str(number if identity is None else identity), texts)


def items_of(benchmark: Benchmark) -> Iterator[Item]:
    """Yield the items of a benchmark, with the columns mapped as in its own file; for code, once more with their tests."""
    columns = [*benchmark.text, *([f"{benchmark.text[0]} + reference"] if benchmark.domain == "code" else [])]
    for section in benchmark.prompts:
        for _, number, row in read_rows(section, Tally(section)):
            texts = tuple(dict.fromkeys(text for column in columns if (text := _joined(row, column))))
            if texts:
                yield Item(benchmark.name, str(row.get("prompt_id", number)), texts)


def _joined(row: Row, columns: str) -> str:
    """Return the texts of columns such as `question + options`, one per line."""
    return "\n".join(text for column in columns.split("+") for text in _texts(value_at(row, column.strip())))


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value, in order: a text, a list of texts (options), of messages or of turns, or several columns."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        of_message = next((value[key] for key in ("content", "value", "text", "utterance") if key in value), None)
        yield from _texts(of_message if of_message is not None else list(value.values()))
