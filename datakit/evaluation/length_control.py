"""The length-controlled win rate of AlpacaEval: how often a model would win if its answers were as long as the baseline's.

A logistic regression without intercept explains preferences by the difference in length, by the prompt's difficulty and by the
model; the win rate is its prediction at a difference of 0. Two baselines that were gamed by length alone are added as rows of
small weight, so that the effect of length is not attributed to the model. They and the difficulties are optional.

Source: alpaca_eval @cd543a1, metrics/glm_winrate.py (Dubois et al., arXiv 2404.04475), whose LogisticRegressionCV (l1,
liblinear, five folds by row, ten strengths) is solved here by proximal Newton steps. If the optimum is flat a different
strength may be chosen: of 56 published values most agree to 1e-6, some differ by up to 0.16 points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from datakit.tables.intervals import Interval

Array: TypeAlias = npt.NDArray[np.float64]
STRENGTHS = np.logspace(-4, 4, 10)
"""The candidate weights of the data against the penalty."""
FOLDS = 5
GAMED_WEIGHT = 0.1
"""The weight of a row of one gamed baseline: 0.2 for both."""
ROUNDS = 1_000
FIRM = 1e-8
"""A fit ends when no coefficient changes by more than this."""
LEAST = 1e-3
"""The smallest part of a step that is tried."""
MOST_STEPS = 100
CLIP = 1e-15  # bound of predicted preferences in the log loss that compares folds


@dataclass(frozen=True)
class Gamed:
    """Preferences for baselines that were gamed by length: rows that stabilise the regression."""

    preferences: Array
    """The preference for the gamed baseline, 0..1."""
    lengths: Array
    """The difference in length divided by its standard deviation."""
    difficulties: Array


@dataclass(frozen=True)
class Controlled:
    """The results of the regression, as shares of 1."""

    win_rate: float
    interval: Interval
    """The interval from resampling prompts, at the chosen strength."""
    error: float
    """The standard error, from the same draws."""
    spread: float
    """The standard error as AlpacaEval publishes it: from the spread of the fitted values, without the error of the fit."""
    strength: float
    coefficients: tuple[float, ...]
    """The coefficients of length, of difficulty (if given), and of the model."""


def length_controlled(
    preferences: Array,
    n_chars: Array,
    n_chars_baseline: Array,
    difficulties: Array | None = None,
    gamed: Gamed | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Controlled:
    """Return the controlled win rate. One value per prompt: the preference for the model (0..1, 0.5 for a draw), both lengths
    in characters, the difficulty.

    `gamed` is used only with difficulties. NaN for fewer than FOLDS prompts.
    """
    n = len(preferences)
    if n < FOLDS:
        return Controlled(math.nan, Interval(math.nan, math.nan), math.nan, math.nan, math.nan, ())
    shorter = n_chars_baseline - n_chars
    model = np.stack([shorter, *([] if difficulties is None else [difficulties]), np.ones(n)], axis=1)
    prior = _rows_of(gamed) if gamed is not None and difficulties is not None else None
    x, y, w = _design(model, preferences, prior)
    strength = _choose(x, y, w)
    fitted = _fit(x, y, w, strength, np.zeros(x.shape[1]))
    predicted = _predict(model, fitted)
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds):
        lots = random.integers(n, size=n)
        some = _fit(*_design(model[lots], preferences[lots], prior), strength, fitted)
        drawn.append(_predict(model[lots], some).mean())
    low, high = np.quantile(drawn, [0.025, 0.975]) if rounds else (math.nan, math.nan)
    return Controlled(
        float(predicted.mean()),
        Interval(float(low), float(high)),
        float(np.std(drawn, ddof=1)) if rounds > 1 else math.nan,
        float(np.std(predicted, ddof=1) / math.sqrt(n)),
        float(strength),
        tuple(map(float, fitted)),
    )


def _rows_of(gamed: Gamed) -> tuple[Array, Array]:
    lengths = np.tanh(gamed.lengths)
    return np.stack([lengths, gamed.difficulties, np.zeros_like(lengths)], axis=1), gamed.preferences


def _design(model: Array, preferences: Array, prior: tuple[Array, Array] | None) -> tuple[Array, Array, Array]:
    """Return features, preferences and weights of all rows; length differences are divided by their standard deviation, then
    tanh."""
    x = model.copy()
    deviation = x[:, 0].std(ddof=1)
    x[:, 0] = np.tanh(x[:, 0] / deviation) if deviation > 0 else 0.0
    if prior is None:
        return x, preferences, np.ones(len(x))
    weights = np.concatenate([np.full(len(prior[1]), GAMED_WEIGHT), np.ones(len(x))])
    return np.concatenate([prior[0], x]), np.concatenate([prior[1], preferences]), weights


def _predict(model: Array, coefficients: Array) -> Array:
    """Return the predicted preferences at a length difference of 0."""
    return _sigmoid(model[:, 1:] @ coefficients[1:])


def _choose(x: Array, y: Array, w: Array) -> float:
    """Return the strength whose fits on four folds predict the fifth best; of equals the smallest, as in scikit-learn."""
    folds = (len(y) - 1 - np.arange(len(y))) % FOLDS
    losses = np.zeros(len(STRENGTHS))
    for fold in range(FOLDS):
        held, found = folds == fold, np.zeros(x.shape[1])
        for at, strength in enumerate(STRENGTHS):
            found = _fit(x[~held], y[~held], w[~held], strength, found)
            p = np.clip(_sigmoid(x[held] @ found), CLIP, 1 - CLIP)
            losses[at] -= np.mean(w[held] * (y[held] * np.log(p) + (1 - y[held]) * np.log(1 - p))) / FOLDS
    return float(STRENGTHS[np.argmin(losses)])


def _fit(x: Array, y: Array, w: Array, strength: float, start: Array) -> Array:
    """Return the coefficients b that minimise |b|_1 + strength * weighted log loss, by proximal Newton steps from `start`."""
    b, value = start.copy(), _loss(x, y, w, strength, start)
    for _ in range(MOST_STEPS):
        p = _sigmoid(x @ b)
        gradient = strength * (x.T @ (w * (p - y)))
        curvature = strength * (x.T * (w * p * (1 - p))) @ x
        step = _quadratic(curvature, gradient, b) - b
        if np.abs(step).max() < FIRM:
            break
        size = 1.0
        while (tried := _loss(x, y, w, strength, b + size * step)) > value and size > LEAST:
            size /= 2
        if tried > value:
            break  # no gain within floating-point precision
        b, value = b + size * step, tried
    return b


def _quadratic(curvature: Array, gradient: Array, b: Array) -> Array:
    """Return the minimum of the quadratic around b plus |.|_1, by coordinate descent over the three coordinates."""
    found = b.copy()
    for _ in range(MOST_STEPS):
        before = found.copy()
        for at in range(len(b)):
            bend = curvature[at, at]
            if bend <= 0:
                continue
            target = found[at] - (gradient[at] + curvature[at] @ (found - b)) / bend
            found[at] = math.copysign(max(abs(target) - 1 / bend, 0.0), target)
        if np.abs(found - before).max() < FIRM:
            break
    return found


def _loss(x: Array, y: Array, w: Array, strength: float, b: Array) -> float:
    z = x @ b
    return float(np.abs(b).sum() + strength * (w * (np.logaddexp(0, z) - y * z)).sum())


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(z, -500, 500)))
