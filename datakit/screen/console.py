"""The console on stdout."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, cast

from rich.console import Console

WIDTH = 100  # of reports, if the output is not a terminal
_PADDING = re.compile(r"[ \t]+$", re.MULTILINE)


def open_console(width: int | None = WIDTH) -> Console:
    """Return a console on stdout. If that is not a terminal, trailing blanks are removed and it is `width` columns wide (None:
    rich's default) unless COLUMNS is set."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=None if "COLUMNS" in os.environ else width, file=cast(Any, Trimmed()))


class Trimmed:
    """Stdout without the trailing blanks of padded tables. Rich writes whole lines."""

    def write(self, text: str) -> int:
        """As of a file."""
        return sys.stdout.write(_PADDING.sub("", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)
