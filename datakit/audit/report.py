"""What `datakit inspect` found, as values: the only contract with those who draw it, and what --json prints.

The fields of each class, in their order, are the keys of its object in JSON. A number that does not exist is None, never NaN.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from datakit.audit.length_report import Lengths, LongerWins
from datakit.audit.plotted import Histogram, Plotted
from datakit.tables import Messages, Row


@dataclass(frozen=True)
class Subject:
    """What was looked at, and what it was made with."""

    kind: Literal["run", "export"]
    folder: str
    domain: str | None
    recipe: str | None
    """The recipe's digest."""
    judge: str | None
    verifier: str | None
    select: dict[str, object] | None
    """The recipe's section, as JSON has it."""

    @property
    def any_source(self) -> bool:
        """Answers of different sources may stand in one pair."""
        return self.select is not None and self.select.get("pairing") != "same_source"


@dataclass(frozen=True)
class Loss:
    reason: str
    prompts: int


@dataclass(frozen=True)
class Step:
    """One of the funnel's, see sql/audit/funnel.sql."""

    step: str
    prompts: int
    lost: list[Loss]
    """Prompts that reached the step before and not this one."""


@dataclass(frozen=True)
class LostCandidates:
    """See sql/audit/lost.sql."""

    reason: str
    candidates: int
    prompts: int
    feasible: int
    """Prompts among them of which another pair would obey all rules (select.search: feasible finds it)."""


@dataclass(frozen=True)
class Use:
    """What so many responses can be used for, or why they cannot; see sql/audit/answers.sql."""

    use: str
    responses: int


@dataclass(frozen=True)
class Flagged:
    """What people have excluded, and what else they said; see sql/audit/flagged.sql."""

    obeyed: bool
    """False: `select.flags: ignore`."""
    prompts: int
    responses: int
    pairs: int
    kept: int
    notes: int


@dataclass(frozen=True)
class Ending:
    """How so many responses of a source ended that are not complete."""

    reason: str
    responses: int


@dataclass(frozen=True)
class Residue:
    """What so many answers of a source should not have in them (tables/residue.py)."""

    residue: str
    responses: int
    pairs: int
    """Those that hold such an answer."""
    choice: str
    """What the source says of it: keep, strip or drop."""


@dataclass(frozen=True)
class Source:
    """What a source model gave, see sql/audit/sources.sql. Of an export only the recipe's facts, pairs and demos are known."""

    model: str
    revision: str | None
    type: str | None
    n: int | None
    prompts: int | None
    responses: int | None
    distinct: int | None
    most_distinct: int | None
    truncated: int | None
    passed: int | None
    failed: int | None
    timeout: int | None
    error: int | None
    unparseable: int | None
    unverifiable: int | None
    no_verdict: int | None
    pass_rate: float | None
    mean_score: float | None
    mean_tokens: float | None
    mean_chars: float | None
    mean_thought_tokens: float | None
    """Of the responses with a thought."""
    mean_answer_tokens: float | None
    thought_tokens_counted: bool | None
    """False: they are the share of the characters, so about so many."""
    endings: list[Ending] | None
    """Of `truncated`: those that are not complete."""
    residue: list[Residue] | None
    wanted: int | None
    failures: int | None
    pending: int | None
    pairs: int | None
    demos: int | None
    score_histogram: Histogram | None
    chars_histogram: Histogram | None


@dataclass(frozen=True)
class Pairs:
    """See sql/audit/margins.sql. Of an export without pairs nothing is known."""

    count: int | None
    margin_min: float | None
    margin_median: float | None
    margin_max: float | None
    chosen_longer: int | None
    chosen_longer_share: float | None
    length_ratio_geomean: float | None
    margin_histogram: Histogram | None
    length_histogram: Histogram | None
    """Of the logarithms of the ratios."""


NO_PAIRS = Pairs(None, None, None, None, None, None, None, None, None)


@dataclass(frozen=True)
class Scores:
    """What the scores that select are worth, see sql/audit/scores.sql."""

    scored: int
    unscored: int | None
    non_finite: int
    length_correlation: float | None
    ranking_accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    """Its interval; comparisons of one prompt do not count as independent."""
    comparisons: int


@dataclass(frozen=True)
class JudgeScores:
    """What a judge's scores of one source are like, or with model None of all; see sql/audit/judges.sql."""

    judge: str
    model: str | None
    scored: int
    unscored: int
    non_finite: int
    cut: int
    lowest: float | None
    median: float | None
    highest: float | None
    mean: float | None
    deviation: float | None
    length_correlation: float | None
    ranking_accuracy: float | None
    comparisons: int
    answer_pairs: int
    tied_pairs: int
    groups: int
    flat: int
    best_shared: int
    score_histogram: Histogram | None


@dataclass(frozen=True)
class Judge(JudgeScores):
    """One that the recipe wants: over all sources, and by source."""

    type: str
    imported: bool
    selects: bool
    failures: int
    sources: list[JudgeScores]


@dataclass(frozen=True)
class Agreement:
    """How far two judges agree, see sql/audit/agreement.sql."""

    judge: str
    other: str
    answers: int
    spearman: float | None
    answer_pairs: int
    alike: int
    unlike: int
    tied: int
    agreement: float | None
    kendall: float | None


@dataclass(frozen=True)
class Margins:
    """The margins of the candidates if this judge selected, see sql/audit/judge_margins.sql."""

    judge: str
    candidates: int
    below: int
    inside: int
    above: int
    prompts: int
    prompts_below: int
    prompts_inside: int
    prompts_above: int
    low: float | None
    high: float | None
    """Both ends of the window; None where it is open."""
    deciles: list[float] | None


@dataclass(frozen=True)
class Duplicates:
    """See sql/audit/duplicates.sql."""

    repeated_responses: int
    shared_responses: int
    repeated_prompts: int
    differing_references: int


@dataclass(frozen=True)
class Failure:
    """Failures of one cause that still stand, see sql/audit/failures.sql."""

    stage: str
    source: str
    error: str
    permanent: bool
    count: int
    example: str | None


@dataclass(frozen=True)
class Noted:
    """What was met in the inputs, and how often: a row of `notes`."""

    things: str
    what: str
    n: int
    first: str
    """Where it was met first; empty where that says nothing."""


@dataclass(frozen=True)
class Example:
    """A pair to look at, see sql/audit/examples.sql."""

    picked: str | None
    prompt_id: str
    model: str
    rejected_model: str
    chosen_id: str
    rejected_id: str
    margin: float | None
    log_length_ratio: float | None
    chosen_chars: int
    rejected_chars: int
    chosen_score: float | None
    rejected_score: float | None
    prompt: Messages | None
    chosen: str | None
    rejected: str | None


@dataclass(frozen=True)
class Limit:
    """A number held against the recipe's limit for it."""

    name: str
    value: float | None
    limit: float
    ok: bool


@dataclass(frozen=True)
class CurationReason:
    """See sql/audit/curation_reasons.sql."""

    reason: str
    prompts: int
    drops: bool
    """False: what was met is said, and the prompts are kept."""


@dataclass(frozen=True)
class Overlap:
    """A prompt and what it met, see sql/audit/curation_samples.sql."""

    reason: str
    prompt_id: str
    prompt: str
    met: str
    met_prompt: str | None
    share: float | None
    text: str | None


@dataclass(frozen=True)
class Cluster:
    """Prompts that repeat one that stays, see sql/audit/curation_clusters.sql."""

    met: str
    prompts: int
    near: int


@dataclass(frozen=True)
class Curation:
    """What curation did to the prompts that were read and could be used."""

    before: int
    after: int
    reasons: list[CurationReason]
    noted: list[CurationReason]
    """What prompts that stay have met: templates, and items that are not near enough."""
    clusters: list[Cluster]
    nearest: Histogram | None
    """Of the kept prompts' shares of the nearest item of a benchmark; None where none is given."""
    samples: list[Overlap]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is in a run or an export; of an export most is empty."""

    run: Subject
    tables: dict[str, int]
    """Rows that are stored."""
    current: dict[str, int]
    """Rows that the current recipe, verifier and judge read."""
    notes: list[Noted] = field(default_factory=list)
    curation: Curation | None = None
    funnel: list[Step] = field(default_factory=list)
    lost: list[LostCandidates] = field(default_factory=list)
    answers: list[Use] = field(default_factory=list)
    flags: Flagged | None = None
    sources: list[Source]
    pairs: Pairs
    scores: Scores | None = None
    judges: list[Judge] = field(default_factory=list)
    agreement: list[Agreement] = field(default_factory=list)
    margins: list[Margins] = field(default_factory=list)
    duplicates: Duplicates | None = None
    failures: list[Failure] = field(default_factory=list)
    lengths: Lengths | None = None
    longer_wins: list[LongerWins] = field(default_factory=list)
    examples: list[Example]
    plotted: Plotted | None = None
    """None of an export, and where nothing is to be plotted."""
    warnings: list[str] = field(default_factory=list)
    """What a careful user must know, in sentences."""
    limits: list[Limit] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(limit.ok for limit in self.limits)

    def as_json(self) -> Row:
        """One object, with `ok` at its end."""
        return {**asdict(self), "ok": self.ok}
