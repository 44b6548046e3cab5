"""The settings that the runner gives its zygote at the start, and the zygote's answers during and after an execution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypedDict


@dataclass(frozen=True)
class Settings:
    """The settings of a zygote, passed as JSON in its command line."""

    control: int
    tier: str
    work: str
    libraries: list[str]
    paths: list[str]
    """Folders of installed packages, which are searched for imports."""
    packages: list[str]
    """The paths that may be read in them: the libraries and everything that they require."""
    memory_mb: int
    cpu_s: int
    n_files: int
    files_mb: int


class Ended(NamedTuple):
    """How one fork ended. `own`: it ended by itself; `status` as in subprocess."""

    own: bool
    status: int


class Over(NamedTuple):
    """How an execution's forks ended, by role, and the limit on files that it exceeded, if any."""

    forks: dict[str, Ended]
    limit: str | None


class Spent(TypedDict, total=False):
    """Seconds of processor time, by role; empty if the system has no such clocks."""

    program: float
    tests: float
