"""A Monitor that remembers what it was told."""

from __future__ import annotations

from typing import Any


class Heard:
    """What a build said, with nothing shown."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warnings: list[str] = []
        self.notes: dict[str, str] = {}

    def stage(self, name: str, missing: dict[str, int], polls: Any = None, there: Any = None) -> None:
        """Nothing is shown."""

    def advance(self, part: str, done: int, failed: int, note: str) -> None:
        self.notes[part] = note

    def say(self, text: str, warning: bool = False) -> None:
        self.said.append(text)
        if warning:
            self.warnings.append(text)
