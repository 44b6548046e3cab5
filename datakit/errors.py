"""Every error that a user can meet. A bad row is data and no error: it becomes a row of `failures` and the build goes on.

    DatakitError                 exit status 2 unless stated
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
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

DISTRIBUTION = "fuse-datakit"
UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)
"""What reading a damaged file raises, a compressed one too."""


def command(*words: object) -> str:
    """Return a datakit command that can be pasted into a shell.

    >>> command("inspect", "my runs/math")
    "datakit inspect 'my runs/math'"
    """
    return shlex.join(["datakit", *map(str, words)])


class DatakitError(Exception):
    """The base class: `str(error)` is the whole message for the user."""

    exit_status = 2


class BadInput(DatakitError):
    """Something the user gave cannot be used."""


class RecipeError(BadInput):
    """The recipe cannot be used."""


class BadRow(BadInput):
    """One row of an input cannot be used. If the input drops such rows, they are counted under `what`.

    `may_drop`: True if the row is dropped when the input does not say what to do: a value is missing, or it is no answer to
    its prompt. Any other fault stops the build.
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


def raise_all(stopped: Sequence[DatakitError]) -> None:
    """What stopped some work, if anything did: a single error as it is, several as a SourceStopped with all their messages."""
    if len(stopped) == 1:
        raise stopped[0]
    if stopped:
        raise SourceStopped("\n".join(map(str, stopped)))


class Origin(NamedTuple):
    """The place where a model's settings are written, for the messages that send the user back there."""

    section: str = ""
    """The section of the recipe, such as sources.0."""
    url: str = "base_urls"
    """The field or option that holds the model's URL, such as sources.0.base_urls."""
    settings: str = "the recipe"
    """The place of the model's other fields."""
    again: str = "build again"
    """The next step after the correction."""

    @classmethod
    def of_section(cls, section: str) -> Origin:
        """Return the origin of a model in this section of the recipe."""
        return cls(section, f"{section}.base_urls", f"the recipe: {section}")


SOME_RECIPE = Origin()


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Turn a failed import in the block into a MissingExtra that names the pip command.

    >>> with needs_extra("local", "the ArmoRM reward model"):
    ...     import json
    """
    try:
        yield
    except ModuleNotFoundError as error:
        where = " in another environment: vLLM is installed here, and it needs another version of transformers"
        beside_vllm = extra == "local" and importlib.util.find_spec("vllm") is not None
        raise MissingExtra(
            f"{purpose} needs the package '{error.name}', which is not installed: pip install '{DISTRIBUTION}[{extra}]'"
            + where * beside_vllm
        ) from error
