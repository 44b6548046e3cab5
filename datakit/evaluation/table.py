"""What runs say of the models under test, as values: the only contract with those who draw it, and what --json prints.

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
"""`judged`: by a judge, where nothing is right or wrong by itself; one that was cut off is judged, too. `no_verdict`: what
the judge said of it cannot be read."""
UNKNOWN = ("no_verdict", "cannot_judge", "failed", "missing")
"""Endings that say nothing of the model: shown beside the score, with what it would be at worst and at best."""
MOST_UNKNOWN = 0.01
"""Of the answers; with more of them there is no score, only its bounds."""


@dataclass(frozen=True)
class Figure:
    """What was published of a model."""

    score: float
    protocol: str | None
    """Whose way of asking it is; None for this benchmark's own."""
    inside: bool | None
    """Whether it lies in the interval; None where there is none."""


@dataclass(frozen=True)
class Share:
    """With its interval by prompt; None where it cannot be told."""

    share: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Judged:
    """What else there is to say of a model whose answers were judged."""

    raw: Share | None
    """The win rate, lengths not controlled; None of grades."""
    published_low: float | None
    published_high: float | None
    """The interval in the published form, where that differs: of Arena-Hard battles drawn as independent."""
    published_error: float | None
    """The standard error in the published form: of AlpacaEval the spread of fitted values."""
    wins: int
    ties: int
    losses: int
    """Judgements for the model, for neither, against it."""
    n_chars: float | None
    """Mean characters of its answers, and of the baseline's to the same prompts."""
    n_chars_baseline: float | None


@dataclass(frozen=True)
class Judging:
    """Who judged, and how far to trust that."""

    judge: str
    """Its name, with prompt and sampling."""
    model: str
    is_published: bool
    """Whether model, prompt and baseline are those of the published figures."""
    prompt_is_published: bool
    baseline: str | None
    judgements: int
    unreadable: int
    """Judgements without a verdict that can be read: excluded, and no ties."""
    failed: int
    first: Share | None
    """The preference for the answer that is shown first; 0.5 of a judge that does not care."""
    longer: Share | None
    """The preference for the longer of two answers. It may be the better one."""
    length_control: str | None
    """published: with AlpacaEval's gamed baselines and difficulties; plain: lengths alone."""


@dataclass(frozen=True)
class Score:
    """One model on one benchmark."""

    model: str
    n: int
    """Prompts that count: all of the benchmark, of imported answers those with one."""
    answers: int
    score: float | None
    """None without answers, and where too many are unknown."""
    low: float | None
    high: float | None
    error: float | None
    """The standard error."""
    worst: float | None
    """Were every unknown answer wrong."""
    best: float | None
    """Were every unknown answer right."""
    endings: dict[str, int]
    """Answers by how they ended, each of ENDINGS."""
    at_k: dict[str, float]
    """pass@k and avg@n, where there are several answers a prompt; of dialogues entity_f1, over all answers together."""
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
    """Prompts on which the model does better than the base."""
    lost: int
    p: float
    """McNemar's exact test with one answer a prompt, else by the standard error. Not corrected for several comparisons."""
    test: str


@dataclass(frozen=True)
class Contact:
    """How much of some data meets the benchmark: prompts whose text is an item's, but for case, blanks and forms of letters."""

    data: str
    prompts: int
    met: int
    items: int
    """Items of the benchmark that they meet."""


@dataclass(frozen=True)
class Results:
    """One benchmark."""

    benchmark: str
    version: str
    run: str
    """The run folder."""
    verifier: str
    metric: str
    prompts: int
    samples: int
    """Answers a prompt that are asked for."""
    smallest: float
    """The least difference of two models that is seen with a power of 80 % where 15 % of the prompts flip: on as many as the
    model with the fewest has."""
    clusters: int | None
    """How many independent groups the prompts are; None where each is one."""
    scores: list[Score]
    differences: list[Difference]
    contacts: list[Contact]
    judging: Judging | None = None
    full: float = 100.0
    """What a score of 1 is written as: 100 of percent, 10 of grades from 1 to 10."""

    @property
    def fewest(self) -> int:
        """Prompts of the model that has the fewest; of a file with answers some may be missing."""
        return min((score.n for score in self.scores if score.n), default=self.prompts)


@dataclass(frozen=True)
class Mean:
    """A model over all benchmarks of the suite, each counting the same."""

    model: str
    score: float
    error: float | None
    difference: float | None
    """To the base, of the same benchmarks."""
    difference_error: float | None


@dataclass(frozen=True)
class Side:
    """What one model answered."""

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
    """A whole suite."""

    suite: str
    base: str | None
    models: list[str]
    benchmarks: list[Results]
    means: list[Mean]
    """Empty for one benchmark, and of models without a score on all of them."""
    flips: list[Flip]

    def as_json(self) -> dict[str, Any]:
        """One object, without numbers that JSON does not know."""
        found: dict[str, Any] = finite(asdict(self))
        return found


def read_evaluation(path: Path) -> Evaluation:
    """What `datakit eval` wrote as eval.json; BadInput where it is something else."""
    try:
        return TypeAdapter(Evaluation).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = str(error).splitlines()[0]
        raise BadInput(f"{path}: not what datakit eval wrote ({why}); evaluate again: datakit eval") from error
