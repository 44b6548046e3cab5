"""How many examples a law is tried with."""

from __future__ import annotations

from hypothesis import settings

SOME = 20
SHARE = 60  # per cent, by default: each example of a law over tables costs several statements


def examples(n: int) -> settings:
    """So many, and as many times more as `make test-long` tries with every law (its profile is `long`)."""
    return settings(max_examples=max(1, n * settings.default.max_examples * SHARE // (100 * SOME)))
