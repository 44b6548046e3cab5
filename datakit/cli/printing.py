"""Printing of JSON, which is then alone on stdout."""

from __future__ import annotations

import typer

from datakit.tables import as_json


def print_json(value: object) -> None:
    typer.echo(as_json(value))
