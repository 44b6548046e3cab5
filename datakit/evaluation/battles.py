"""How often a model wins against another, and which answers its judge prefers for what they are not: the first, the longer.

A battle is one judgement of two answers. Several battles of a prompt (both orders, clear verdicts counted several times) are no
independent draws, so prompts are drawn, whole.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from datakit.evaluation import statistics
from datakit.tables.intervals import Interval

PUBLISHED_ROUNDS = 100


class WinRate(NamedTuple):
    """Shares of 1."""

    share: float
    interval: Interval
    """By drawing prompts."""
    error: float
    """The standard error, by prompt."""
    published: Interval
    """As Arena-Hard v0.1 has it: battles drawn as if they were independent, those of one prompt too. It is too short."""


def win_rate(prompts: pl.Series, values: pl.Series, weights: pl.Series) -> WinRate:
    """One row a battle: its prompt, the preference for the model (0..1, 0.5 for a tie), and how often it counts.

    With one baseline the win rate that Arena-Hard derives from a Bradley-Terry fit is (wins + ties / 2) / battles (lmarena's
    show_result.py): no fit is needed.
    """
    counted = pl.DataFrame({"prompt": prompts, "value": values, "weight": weights})
    counted = counted.select(pl.all().exclude("weight").repeat_by("weight").explode())
    share = float(counted["value"].sum()) / counted.height
    drawn = statistics.interval(counted["value"], counted["prompt"], several=True)
    error = statistics.standard_error(counted["value"], counted["prompt"])
    return WinRate(share, drawn, error, statistics.bootstrap(counted["value"], rounds=PUBLISHED_ROUNDS))
