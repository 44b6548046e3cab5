"""Formats of tests: how each is recognised, and how it is converted for the sandbox, which runs four of them directly."""

from __future__ import annotations

import functools
from collections.abc import Callable

from datakit.domains.code import cases, suites
from datakit.domains.code.cases import CannotRun, Runnable
from datakit.sandbox.runner import STYLES as RUN_AS_THEY_ARE

_MADE: dict[str, Callable[[str, str | None], Runnable]] = {
    "livecodebench": cases.livecodebench,
    "apps": cases.apps,
    "pytest": suites.from_pytest,
    "unittest": suites.from_unittest,
}
STYLES = (*RUN_AS_THEY_ARE, *_MADE)
"""The valid values of the column test_style."""


class UnknownFormat(ValueError):
    """Raised for tests in no known format, or in several; the message says what was found."""


@functools.lru_cache(maxsize=64)  # rows of responses repeat the tests of their prompt
def style_of(tests: str, entry_point: str | None) -> str:
    """Return the format of tests whose row does not name it, by the format's documented keys or names."""
    data = cases.load(tests)
    found, seen = cases.styles(data) if data is not None else suites.styles(tests)
    if found == {"humaneval_check"} and (entry_point or "").startswith("Solution"):
        return "solution_method"
    if len(found) == 1:
        return next(iter(found))
    what = seen or f"{tests.strip()!r:.60}"
    many = "two formats of tests at once" if found else "no format of tests that is known"
    raise UnknownFormat(f"shows {many} (seen: {what:.200}); write the column test_style, one of {', '.join(STYLES)}")


@functools.lru_cache(maxsize=16)  # the answers to one prompt come in sequence
def runnable(tests: str, style: str, entry_point: str | None) -> Runnable | CannotRun:
    """Return the tests in the form that the sandbox runs, or why it cannot."""
    entry_point = entry_point and entry_point.replace("()", "")  # Solution().add
    try:
        return _MADE[style](tests, entry_point) if style in _MADE else Runnable(tests, style, entry_point)
    except CannotRun as error:
        return error
