"""The console on stdout."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, cast

from rich.console import Console

WIDTH = 100  # of reports, where the output is no terminal
_PADDING = re.compile(r"[ \t]+$", re.MULTILINE)


def open_console(width: int | None = WIDTH) -> Console:
    """A console on stdout. Where that is no terminal, lines end with their last letter, and it is `width` columns wide (None:
    as rich has it), unless COLUMNS says otherwise."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=None if "COLUMNS" in os.environ else width, file=cast(Any, Trimmed()))


class Trimmed:
    """Stdout without the blanks that tables pad their lines with. Rich writes whole lines."""

    def write(self, text: str) -> int:
        """As a file's."""
        return sys.stdout.write(_PADDING.sub("", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)
