"""How scores grow with length, and what `select.length_adjust` takes out of them.

The slope is that of the score on the logarithm of the answer's characters among answers of one prompt and source: what is
common to a prompt, or to a source, says nothing of length.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from datakit.store import Run, load_sql


@dataclass(frozen=True)
class Slope:
    """Of one source model: sums of squares and products about the means of its prompts."""

    model_no: int
    sxx: float
    sxy: float
    syy: float
    n: int
    groups: int
    """Prompts with two answers or more."""

    @property
    def slope(self) -> float | None:
        """Score points for a length that is e times as long; None where all lengths of each prompt are equal."""
        return self.sxy / self.sxx if self.sxx > 0 else None

    @property
    def variance(self) -> float | None:
        """Of the slope; None where too few answers say it."""
        freedom = self.n - self.groups - 1
        if self.sxx <= 0 or freedom < 1:
            return None
        return max(self.syy - self.sxy * self.sxy / self.sxx, 0.0) / freedom / self.sxx


def slopes(run: Run, by_source: bool) -> list[float]:
    """The slope of each model, by its number (the first is that of number 1). Reads the table `answers`.

    `by_source`: pairs are of one source. Each has its own slope then, drawn to the common one by how little its answers say of
    it. Otherwise all have one, with the sources' means taken out: else it would hold that strong models write long.
    """
    n_models = int(run.query("SELECT coalesce(max(model_no), 0) FROM answers").item())
    if not by_source:
        return [common_slope(run)] * n_models
    found = {slope.model_no: slope for slope in (Slope(*row) for row in run.query(load_sql("select/find_slopes")).iter_rows())}
    shrunk = shrink(list(found.values()))
    return [shrunk.get(model_no, pooled(list(found.values()))) for model_no in range(1, n_models + 1)]


def pooled(found: Sequence[Slope]) -> float:
    """One slope for all models; 0 where no length varies."""
    sxx = sum(one.sxx for one in found)
    return sum(one.sxy for one in found) / sxx if sxx > 0 else 0.0


def shrink(found: Sequence[Slope]) -> dict[int, float]:
    """Each model's slope between its own and the common one: b + t2 / (t2 + v) (own - b), where v is the variance of its own
    and t2 what slopes differ by beyond that (empirical Bayes, method of moments)."""
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
    """The slope with the means of prompts and of sources taken out; 0 where no length varies beside them.

    The sources' means are known up to a constant: any least-squares solution gives the same slope.
    """
    import numpy as np  # a tenth of a second, for this rule alone

    rows = run.query(load_sql("select/find_common_slope")).to_dicts()
    if not rows:
        return 0.0
    place = {model: at for at, model in enumerate(sorted({row["model_no"] for row in rows}))}
    matrix, sums = np.zeros((len(place), len(place))), np.zeros((len(place), 2))
    for row in rows:
        at = place[row["model_no"]]
        matrix[at, place[row["other_no"]]] = row["weight"]
        sums[at] = row["x"], row["y"]
    explained = np.linalg.lstsq(matrix, sums[:, 0], rcond=1e-9)[0]  # lengths as the sources' means explain them
    sxx, sxy = np.array([rows[0]["sxx"], rows[0]["sxy"]]) - explained @ sums
    return float(sxy / sxx) if sxx > 1e-9 * max(rows[0]["sxx"], 1e-300) else 0.0
