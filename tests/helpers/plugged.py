"""Domains and reward models that stand in a test: sections in a recipe's unions, and an engine that can run them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datakit.engine.protocol import Result
from datakit.recipe import Recipe


@contextmanager
def sections(field: str, annotation: Any) -> Iterator[None]:
    """A recipe's field with another union of sections, for a while."""
    before = Recipe.model_fields[field].annotation
    try:
        Recipe.model_fields[field].annotation = annotation
        Recipe.model_rebuild(force=True)
        yield
    finally:
        Recipe.model_fields[field].annotation = before
        Recipe.model_rebuild(force=True)


class InProcess:
    """An engine without processes, for they would not know what stands in a test."""

    def __init__(self, *_args: object, **_options: object) -> None:
        """One worker, here."""

    def map(self, start: Any, batches: Any, deadline_s: float | None) -> Iterator[Result]:
        worker = start()
        for batch in batches:
            for row, value in zip(batch, worker(batch), strict=True):
                yield Result(row, value, None, None, 0.0)
