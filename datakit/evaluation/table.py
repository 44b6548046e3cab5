"""The results of the models under test, as values: the contract with the code that draws them, and what --json prints.

Scores, intervals and differences are shares of 1. The fields of each class, in their order, are the keys of its object in JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from datakit.errors import BadInput
from datakit.tables import finite

ENDINGS = ("right", "wrong", "timeout", "judged", "no_answer", "cut_off", "no_verdict", "cannot_judge", "failed", "missing")
"""How answers end. `judged`: graded by a judge, if nothing is right or wrong by itself; cut-off answers are judged, too.
`no_verdict`: the judge's reply cannot be read."""
UNKNOWN = ("no_verdict", "cannot_judge", "failed", "missing")
"""Endings that say nothing about the model: shown next to the score, with its bounds at worst and at best."""
MOST_UNKNOWN = 0.01
"""The share of unknown answers above which there is no score, only its bounds."""


@dataclass(frozen=True)
class Figure:
    """A published figure of a model."""

    score: float
    protocol: str | None
    """The protocol by which it was measured; None for this benchmark's own."""
    inside: bool | None
    """True if it lies in the interval; None without an interval."""


@dataclass(frozen=True)
class Share:
    """A share with its interval by prompt; None if it is unknown."""

    share: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Judged:
    """Further figures of a model whose answers were judged."""

    raw: Share | None
    """The win rate without length control; None for grades."""
    published_low: float | None
    published_high: float | None
    """The upper end of the interval in the published form, if that differs: Arena-Hard resamples battles as independent."""
    published_error: float | None
    """The standard error in the published form: for AlpacaEval the spread of fitted values."""
    wins: int
    ties: int
    losses: int
    """The numbers of judgements: wins for the model, ties, losses."""
    n_chars: float | None
    """The mean characters of its answers, and of the baseline's to the same prompts."""
    n_chars_baseline: float | None


@dataclass(frozen=True)
class Judging:
    """The judge, and how far to trust it."""

    judge: str
    """Its name, with prompt and sampling."""
    model: str
    is_published: bool
    """True if model, prompt and baseline are those of the published figures."""
    prompt_is_published: bool
    baseline: str | None
    judgements: int
    unreadable: int
    """The number of judgements without a readable verdict: they are excluded, not counted as ties."""
    failed: int
    first: Share | None
    """The preference for the answer that is shown first; 0.5 for an unbiased judge."""
    longer: Share | None
    """The preference for the longer of two answers. It may be the better one."""
    length_control: str | None
    """published: with AlpacaEval's gamed baselines and difficulties; plain: lengths alone."""


@dataclass(frozen=True)
class Score:
    """One model on one benchmark."""

    model: str
    n: int
    """The prompts that count: all of the benchmark, or with imported answers those that have one."""
    answers: int
    score: float | None
    """The score; None without answers, or if too many are unknown."""
    low: float | None
    high: float | None
    error: float | None
    """The standard error."""
    worst: float | None
    """The score if every unknown answer were wrong."""
    best: float | None
    """The score if every unknown answer were right."""
    endings: dict[str, int]
    """The number of answers by ending, for each of ENDINGS."""
    at_k: dict[str, float]
    """pass@k and avg@n, with several answers per prompt; entity_f1 for dialogues, over all answers together."""
    published: list[Figure]
    judged: Judged | None = None


@dataclass(frozen=True)
class Difference:
    """A model minus the base, on the prompts that both have answered."""

    model: str
    n: int
    difference: float
    error: float | None
    low: float | None
    high: float | None
    won: int
    """The number of prompts on which the model does better than the base."""
    lost: int
    p: float
    """The p-value: McNemar's exact test with one answer per prompt, else by the standard error. Not corrected for multiple
    tests."""
    test: str


@dataclass(frozen=True)
class Contact:
    """How much of some data matches the benchmark: prompts with an item's text, ignoring case, blanks and forms of letters."""

    data: str
    prompts: int
    met: int
    items: int
    """The items of the benchmark that they match."""


@dataclass(frozen=True)
class Results:
    """The results of one benchmark."""

    benchmark: str
    version: str
    run: str
    """The run folder."""
    verifier: str
    metric: str
    prompts: int
    samples: int
    """The number of answers asked for per prompt."""
    smallest: float
    """The smallest difference of two models that is detected with a power of 80 % if 15 % of the prompts flip, on as many
    prompts as the model with the fewest has."""
    clusters: int | None
    """The number of independent groups of prompts; None if each prompt is its own."""
    scores: list[Score]
    differences: list[Difference]
    contacts: list[Contact]
    judging: Judging | None = None
    full: float = 100.0
    """The number that a score of 1 is shown as: 100 for percent, 10 for grades from 1 to 10."""

    @property
    def fewest(self) -> int:
        """The number of prompts of the model with the fewest; a file with answers may lack some."""
        return min((score.n for score in self.scores if score.n), default=self.prompts)


@dataclass(frozen=True)
class Mean:
    """A model over all benchmarks of the suite, each counting the same."""

    model: str
    score: float
    error: float | None
    difference: float | None
    """The difference to the base, on the same benchmarks."""
    difference_error: float | None


@dataclass(frozen=True)
class Side:
    """The answer of one model."""

    model: str
    text: str | None
    outcome: str | None
    extracted: str | None
    detail: str | None


@dataclass(frozen=True)
class Flip:
    """A prompt that one of two models got right and the other wrong."""

    benchmark: str
    prompt_id: str
    prompt: str
    reference: str | None
    right: Side
    wrong: Side


@dataclass(frozen=True)
class Evaluation:
    """The results of a whole suite."""

    suite: str
    base: str | None
    models: list[str]
    benchmarks: list[Results]
    means: list[Mean]
    """The means over all benchmarks; none for a single benchmark, or for models without a score on all of them."""
    flips: list[Flip]

    def as_json(self) -> dict[str, Any]:
        """Return one object, without numbers that JSON does not have (NaN)."""
        found: dict[str, Any] = finite(asdict(self))
        return found


def read_evaluation(path: Path) -> Evaluation:
    """Read an eval.json that `datakit eval` wrote. Raises BadInput if it is something else."""
    try:
        return TypeAdapter(Evaluation).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = str(error).splitlines()[0]
        raise BadInput(f"{path}: not what datakit eval wrote ({why}); evaluate again: datakit eval") from error
