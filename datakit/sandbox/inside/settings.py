"""What the runner tells its zygote at the start, and what that answers while an execution runs and when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypedDict


@dataclass(frozen=True)
class Settings:
    """Crosses as JSON in the zygote's command line."""

    control: int
    tier: str
    work: str
    libraries: list[str]
    paths: list[str]
    """Folders of installed packages: they are searched."""
    packages: list[str]
    """What may be read in them: the libraries and all that they require."""
    memory_mb: int
    cpu_s: int
    n_files: int
    files_mb: int


class Ended(NamedTuple):
    """How one fork ended. `own`: by itself; `status` as subprocess gives it."""

    own: bool
    status: int


class Over(NamedTuple):
    """How an execution's forks ended, by their roles, and the limit on files that it passed."""

    forks: dict[str, Ended]
    limit: str | None


class Spent(TypedDict, total=False):
    """Seconds of processor time, by role; empty where the system has no such clocks."""

    program: float
    tests: float
