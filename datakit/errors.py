"""Every error a user can meet. A bad row is data, not an error: it becomes a row of `failures` and the build goes on.

    DatakitError                 exit status 2 unless said otherwise
    ├── BadInput                 something the user gave: a file, a field, a value, an option
    │   ├── RecipeError          the recipe (file, field, value, what to write instead)
    │   ├── BadRow               one row of a file: may be dropped and counted
    │   └── RunError             a run folder: locked, corrupted, or made with other settings
    ├── MissingExtra             a package of an optional extra is not installed
    ├── WorkerError              worker processes cannot be started
    ├── SourceStopped            3: a source model cannot be used, the build stops
    └── BudgetSpent              3: the recipe's budget is spent, the build stops

Messages say file, field, value and the next step. Only cli/ prints them, and only there does the process exit.
"""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

DISTRIBUTION = "fuse-datakit"


def command(*words: object) -> str:
    """A datakit command as it can be pasted into a shell.

    >>> command("inspect", "my runs/math")
    "datakit inspect 'my runs/math'"
    """
    return shlex.join(["datakit", *map(str, words)])


class DatakitError(Exception):
    """The root: `str(error)` is the whole message for the user."""

    exit_status = 2


class BadInput(DatakitError):
    """Something the user gave cannot be used."""


class RecipeError(BadInput):
    """The recipe cannot be used."""


class BadRow(BadInput):
    """One row of an input cannot be used. Where the input drops such rows, they are counted by `what`.

    `may_drop`: that is so where the input does not say. It has nothing where something must be, or is no answer to its prompt;
    what is merely wrong stops.
    """

    def __init__(self, where: str, what: str, detail: str = "", may_drop: bool = False) -> None:
        super().__init__(f"{where}: {what}{detail}")
        self.what = what
        self.detail = detail
        self.may_drop = may_drop


class RunError(BadInput):
    """The run folder cannot be used."""


class MissingExtra(DatakitError):
    """A package of an optional extra is missing."""


class WorkerError(DatakitError):
    """The workers of a stage cannot be started."""


class SourceStopped(DatakitError):
    """A source model cannot be reached or refuses every request; what was received is stored."""

    exit_status = 3


class BudgetSpent(DatakitError):
    """The recipe's budget is spent; what was received is stored."""

    exit_status = 3


class Origin(NamedTuple):
    """Where somebody said how a model is asked, for the messages that send him back there."""

    section: str = ""
    """Of the recipe: sources.0."""
    url: str = "base_urls"
    """What says where the model is: sources.0.base_urls, or an option."""
    settings: str = "the recipe"
    """Where its other fields are written."""
    again: str = "build again"
    """What goes on once that is corrected."""

    @classmethod
    def of_section(cls, section: str) -> Origin:
        """A section of the recipe."""
        return cls(section, f"{section}.base_urls", f"the recipe: {section}")


SOME_RECIPE = Origin()


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Turn a failed import inside the block into a MissingExtra that names the pip command.

    >>> with needs_extra("local", "the ArmoRM reward model"):
    ...     import json
    """
    try:
        yield
    except ModuleNotFoundError as error:
        where = " in another environment, for vLLM is installed here and the two exclude one another (transformers)"
        beside_vllm = extra == "local" and importlib.util.find_spec("vllm") is not None
        raise MissingExtra(
            f"{purpose} needs the package '{error.name}', which is not installed: pip install '{DISTRIBUTION}[{extra}]'"
            + where * beside_vllm
        ) from error
