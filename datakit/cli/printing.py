"""JSON, alone on stdout."""

from __future__ import annotations

import json
from decimal import Decimal

import typer

from datakit.tables import finite


def as_json(value: object) -> str:
    """One value; NaN and infinity, which JSON does not know, become null."""
    return json.dumps(finite(value), ensure_ascii=False, indent=2, default=_plain, allow_nan=False)


def print_json(value: object) -> None:
    typer.echo(as_json(value))


def _plain(value: object) -> object:
    """JSON of what DuckDB gives beyond it: sums are decimals, times are times."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)
