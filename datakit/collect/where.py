"""Which rows of an input are read: those whose columns have the values that its section asks for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from datakit.collect.formats import Found
from datakit.collect.tally import Tally
from datakit.errors import BadInput
from datakit.recipe.section import Range, Scalar, Where
from datakit.wording import counted, did_you_mean


def matching(rows: Iterator[Found], where: Where, tally: Tally) -> Iterator[Found]:
    """The rows that match, lazily. BadInput where a column is in no row at all."""
    unseen = set(where)
    n_rows, n_kept, columns = 0, 0, set[str]()
    for found in rows:
        row = found[2]
        n_rows += 1
        columns |= row.keys() if unseen else set()
        unseen -= {column for column in unseen if _value(row, column) is not None}
        if all(_matches(_value(row, column), wanted) for column, wanted in where.items()):
            n_kept += 1
            yield found
    if n_rows and unseen:
        said = f"{tally.given.name} has {', '.join(sorted(columns))[:200]}{did_you_mean(min(unseen), columns)}"
        raise BadInput(f"{tally.field(f'where.{min(unseen)}')}: there is no such column; {said}")
    if n_rows and not n_kept:
        none = f"none of {counted(n_rows, 'rows')} of {tally.given.name} has these values"
        raise BadInput(f"{tally.field('where')}: {none}; check their spelling")


def _value(row: dict[str, Any], column: str) -> Any:
    """A dot leads into a column of objects, unless a column is called so."""
    if column in row:
        return row[column]
    value: Any = row
    for step in column.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _matches(value: Any, wanted: Range | Scalar | list[Scalar]) -> bool:
    if value is None:
        return False
    if isinstance(wanted, Range):
        after = wanted.since is None or not _is_before(value, wanted.since)
        return after and (wanted.before is None or _is_before(value, wanted.before))
    return any(_text(value) == _text(one) for one in (wanted if isinstance(wanted, list) else [wanted]))


def _is_before(value: Any, other: Scalar) -> bool:
    if isinstance(other, int | float) and not isinstance(other, bool):
        try:
            return float(value) < other
        except OverflowError:  # a whole number that no float holds
            return bool(value < other)
        except (TypeError, ValueError):
            return False
    return _text(value) < _text(other)


def _text(value: Any) -> str:
    """As files spell it: true and 1 of a CSV file are those of JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)
