"""The report of `datakit inspect`, as values: the contract with the code that draws it, and what --json prints.

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
    """What was inspected, and what it was made with."""

    kind: Literal["run", "export"]
    folder: str
    domain: str | None
    recipe: str | None
    """The recipe's digest."""
    judge: str | None
    verifier: str | None
    select: dict[str, object] | None
    """The recipe's section, as JSON."""

    @property
    def any_source(self) -> bool:
        """True if a pair may join answers of different sources."""
        return self.select is not None and self.select.get("pairing") != "same_source"


@dataclass(frozen=True)
class Loss:
    reason: str
    prompts: int


@dataclass(frozen=True)
class Step:
    """A step of the funnel; see sql/audit/funnel.sql."""

    step: str
    prompts: int
    lost: list[Loss]
    """The prompts that reached the step before but not this one, by reason."""


@dataclass(frozen=True)
class LostCandidates:
    """See sql/audit/lost.sql."""

    reason: str
    candidates: int
    prompts: int
    feasible: int
    """The prompts among them that have another pair that would obey all rules (select.search: feasible finds it)."""


@dataclass(frozen=True)
class Use:
    """A number of responses, and what they can be used for or why they cannot; see sql/audit/answers.sql."""

    use: str
    responses: int


@dataclass(frozen=True)
class Flagged:
    """What people have excluded, and their other flags; see sql/audit/flagged.sql."""

    obeyed: bool
    """False with `select.flags: ignore`."""
    prompts: int
    responses: int
    pairs: int
    kept: int
    notes: int


@dataclass(frozen=True)
class Ending:
    """A number of a source's incomplete responses, and their finish reason."""

    reason: str
    responses: int


@dataclass(frozen=True)
class Residue:
    """A number of a source's answers that contain residue of one kind (tables/residue.py)."""

    residue: str
    responses: int
    pairs: int
    """The pairs that have such an answer."""
    choice: str
    """The source's setting: keep, strip or drop."""


@dataclass(frozen=True)
class Source:
    """Statistics of a source model; see sql/audit/sources.sql. An export has only the recipe's facts, pairs and demos."""

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
    """The mean over the responses with a thought."""
    mean_answer_tokens: float | None
    thought_tokens_counted: bool | None
    """True if the server counted them; False: they are estimated from the share of the characters."""
    endings: list[Ending] | None
    """The finish reasons of `truncated`, the responses that are not complete."""
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
    """Statistics of the pairs; see sql/audit/margins.sql. All None for an export without pairs."""

    count: int | None
    margin_min: float | None
    margin_median: float | None
    margin_max: float | None
    chosen_longer: int | None
    chosen_longer_share: float | None
    length_ratio_geomean: float | None
    margin_histogram: Histogram | None
    length_histogram: Histogram | None
    """The histogram of log length ratios."""


NO_PAIRS = Pairs(None, None, None, None, None, None, None, None, None)


@dataclass(frozen=True)
class Scores:
    """Statistics of the scores that select; see sql/audit/scores.sql."""

    scored: int
    unscored: int | None
    non_finite: int
    length_correlation: float | None
    ranking_accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    """The upper end of its interval; comparisons of one prompt do not count as independent."""
    comparisons: int


@dataclass(frozen=True)
class JudgeScores:
    """Statistics of a judge's scores of one source, or with model None of all; see sql/audit/judges.sql."""

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
    """A judge that the recipe wants: over all sources, and by source."""

    type: str
    imported: bool
    selects: bool
    failures: int
    sources: list[JudgeScores]


@dataclass(frozen=True)
class Agreement:
    """How far two judges agree; see sql/audit/agreement.sql."""

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
    """The margins of the candidates if this judge selected; see sql/audit/judge_margins.sql."""

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
    """The upper end of the window; None if it is open."""
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
    """The failures of one cause that still stand; see sql/audit/failures.sql."""

    stage: str
    source: str
    error: str
    permanent: bool
    count: int
    example: str | None


@dataclass(frozen=True)
class Noted:
    """A peculiarity of the inputs, and how often it was met: a row of `notes`."""

    things: str
    what: str
    n: int
    first: str
    """Where it was met first; empty if that says nothing."""


@dataclass(frozen=True)
class Example:
    """A pair to look at; see sql/audit/examples.sql."""

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
    """A number and the recipe's limit for it."""

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
    """False if the prompts are kept and only reported."""


@dataclass(frozen=True)
class Overlap:
    """A prompt and what it met; see sql/audit/curation_samples.sql."""

    reason: str
    prompt_id: str
    prompt: str
    met: str
    met_prompt: str | None
    share: float | None
    text: str | None


@dataclass(frozen=True)
class Cluster:
    """Prompts that repeat one that is kept; see sql/audit/curation_clusters.sql."""

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
    """What kept prompts have met: templates, and items that are not near enough."""
    clusters: list[Cluster]
    nearest: Histogram | None
    """The histogram of the kept prompts' shares of the nearest benchmark item; None without a benchmark."""
    samples: list[Overlap]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The contents of a run or an export; for an export most fields are empty."""

    run: Subject
    tables: dict[str, int]
    """The number of stored rows, by table."""
    current: dict[str, int]
    """The number of rows that the current recipe, verifier and judge read, by table."""
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
    """The data of the plots; None for an export, and without plots."""
    warnings: list[str] = field(default_factory=list)
    """Warnings, in sentences."""
    limits: list[Limit] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(limit.ok for limit in self.limits)

    def as_json(self) -> Row:
        """Return one object, with `ok` as its last key."""
        return {**asdict(self), "ok": self.ok}
