"""JSON, alone on stdout."""

from __future__ import annotations

import typer


def print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(_finite(value), ensure_ascii=False, indent=2, default=_plain, allow_nan=False))


def _finite(value: object) -> object:
    """JSON knows no NaN and no infinity: they become null."""
    from math import isfinite

    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def _plain(value: object) -> object:
    """JSON of what DuckDB gives beyond it: sums are decimals, times are times."""
    from decimal import Decimal

    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)
