"""Formats of tests: how each is told, and how it is handed to the sandbox, which knows four of them itself."""

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
"""What the column test_style may say."""


class UnknownFormat(ValueError):
    """Tests that show no known format, or several; the message says what was seen."""


@functools.lru_cache(maxsize=64)  # rows of responses repeat the tests of their prompt
def style_of(tests: str, entry_point: str | None) -> str:
    """The format of tests whose row does not say it, by the keys or names that it is documented to have."""
    data = cases.load(tests)
    found, seen = cases.styles(data) if data is not None else suites.styles(tests)
    if found == {"humaneval_check"} and (entry_point or "").startswith("Solution"):
        return "solution_method"
    if len(found) == 1:
        return next(iter(found))
    what = seen or f"{tests.strip()!r:.60}"
    many = "two formats of tests at once" if found else "no format of tests that is known"
    raise UnknownFormat(f"shows {many} (seen: {what:.200}); write the column test_style, one of {', '.join(STYLES)}")


@functools.lru_cache(maxsize=16)  # the answers to one prompt come one after the other
def runnable(tests: str, style: str, entry_point: str | None) -> Runnable | CannotRun:
    """The tests as the sandbox runs them, or why it cannot."""
    entry_point = entry_point and entry_point.replace("()", "")  # Solution().add
    try:
        return _MADE[style](tests, entry_point) if style in _MADE else Runnable(tests, style, entry_point)
    except CannotRun as error:
        return error
