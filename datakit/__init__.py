"""datakit builds and audits preference datasets: sample, verify, score, select, export. Start reading at stages.py.

>>> import datakit
>>> run = datakit.build("math")                                                 # doctest: +SKIP
>>> run = datakit.open_run("runs/math")                                         # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datakit.library import OpenRun, build, evaluate, open_run

__all__ = ["OpenRun", "build", "evaluate", "open_run"]


def __getattr__(name: str) -> Any:
    """Load the library on first use: the command line, and `import datakit` alone, stay light."""
    if name in __all__:
        return getattr(import_module("datakit.library"), name)
    raise AttributeError(f"module 'datakit' has no attribute {name!r}")
