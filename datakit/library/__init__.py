"""The Python interface: `datakit.open_run`, `datakit.build`, `datakit.evaluate`. Nothing is printed to stdout."""

from datakit.library.builds import build, evaluate
from datakit.library.runs import OpenRun, open_run

__all__ = ["OpenRun", "build", "evaluate", "open_run"]
