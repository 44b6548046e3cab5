"""How scores grow with length, and what `select.length_adjust` removes from them.

The slope is that of the score on the logarithm of the answer's characters, among answers of one prompt and source: differences
between prompts, or between sources, say nothing about length.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from datakit.store import Run, load_sql


@dataclass(frozen=True)
class Slope:
    """The sums of squares and products of one source model, about the means of its prompts (x: ln characters, y: score)."""

    model_no: int
    sxx: float
    sxy: float
    syy: float
    n: int
    groups: int
    """The number of prompts with two answers or more."""

    @property
    def slope(self) -> float | None:
        """The score points per factor e of length; None if all lengths of each prompt are equal."""
        return self.sxy / self.sxx if self.sxx > 0 else None

    @property
    def variance(self) -> float | None:
        """The sampling variance of the slope; None if there are too few answers."""
        freedom = self.n - self.groups - 1
        if self.sxx <= 0 or freedom < 1:
            return None
        return max(self.syy - self.sxy * self.sxy / self.sxx, 0.0) / freedom / self.sxx


def slopes(run: Run, by_source: bool) -> list[float]:
    """Return the slope of each model, in the order of their numbers (from 1). Reads the table `answers`.

    `by_source`: both answers of a pair come from one source. Each source has its own slope then, shrunk towards the common one
    (see shrink). If not, all share one slope, with the sources' means removed: else strong models that write long would raise
    it.
    """
    n_models = int(run.query("SELECT coalesce(max(model_no), 0) FROM answers").item())
    if not by_source:
        return [common_slope(run)] * n_models
    found = {slope.model_no: slope for slope in (Slope(*row) for row in run.query(load_sql("select/find_slopes")).iter_rows())}
    shrunk = shrink(list(found.values()))
    return [shrunk.get(model_no, pooled(list(found.values()))) for model_no in range(1, n_models + 1)]


def pooled(found: Sequence[Slope]) -> float:
    """Return one slope for all models, within prompts and models; 0 if no length varies."""
    sxx = sum(one.sxx for one in found)
    return sum(one.sxy for one in found) / sxx if sxx > 0 else 0.0


def shrink(found: Sequence[Slope]) -> dict[int, float]:
    """Return each model's slope, shrunk from its own towards the common slope b: b + t2 / (t2 + v) * (own - b).

    v is the sampling variance of the model's own slope. t2 is the variance between models by the method of moments: the
    variance of their slopes minus the mean v (Hedges and Olkin 1985; unweighted, unlike DerSimonian and Laird 1986).
    """
    common = pooled(found)
    known = [(one.model_no, one.slope, one.variance) for one in found]
    sure = [(number, slope, variance) for number, slope, variance in known if slope is not None and variance is not None]
    if len(sure) < 2:
        return {one.model_no: common for one in found}
    between = statistics.variance(slope for _, slope, _ in sure) - statistics.fmean(variance for *_, variance in sure)
    result = {one.model_no: common for one in found}
    if between > 0:
        result |= {number: common + between / (between + variance) * (slope - common) for number, slope, variance in sure}
    return result


def common_slope(run: Run) -> float:
    """Return the slope with the means of prompts and of sources removed (two-way fixed effects, solved as by Frisch and Waugh,
    1933, from the residuals of both variables); 0 if no length varies within them.

    The sources' means are known up to a constant: any least-squares solution gives the same slope.
    """
    import numpy as np  # takes 0.1 s to import, and only this rule needs it

    rows = run.query(load_sql("select/find_common_slope")).to_dicts()
    if not rows:
        return 0.0
    place = {model: at for at, model in enumerate(sorted({row["model_no"] for row in rows}))}
    matrix, sums = np.zeros((len(place), len(place))), np.zeros((len(place), 2))
    for row in rows:
        at = place[row["model_no"]]
        matrix[at, place[row["other_no"]]] = row["weight"]
        sums[at] = row["x"], row["y"]
    explained = np.linalg.lstsq(matrix, sums[:, 0], rcond=1e-9)[0]  # the sources' mean lengths
    sxx, sxy = np.array([rows[0]["sxx"], rows[0]["sxy"]]) - explained @ sums
    return float(sxy / sxx) if sxx > 1e-9 * max(rows[0]["sxx"], 1e-300) else 0.0
