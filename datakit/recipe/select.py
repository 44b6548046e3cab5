"""The section of a recipe that says which answers become pairs and demos. The doc of a field is the string under it."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    model_validator,
)

from datakit.recipe.section import Section, Share

MEAN_RANK = "mean_rank"


class Quantiles(Section):
    quantiles: Annotated[list[Share], Field(min_length=2, max_length=2)]
    """[0.1, 0.9]: from the 10% to the 90% quantile of the candidates' margins, both ends included. A candidate is the best
    right against the worst wrong answer, one per prompt and source (one per prompt with any_source), before any rule about
    margins or lengths. The quantiles are computed from the run itself."""


def _read_end(value: Any) -> Any:
    return {"inf": math.inf, "-inf": -math.inf}.get(value, value) if isinstance(value, str) else value


def spell_end(value: float) -> float | str:
    """Return an end of a window as JSON can express it: infinities as text."""
    return value if math.isfinite(value) else str(value)


End = Annotated[
    float,
    Field(strict=True),
    BeforeValidator(_read_end, json_schema_input_type=Literal["inf", "-inf"] | float),
    PlainSerializer(spell_end, when_used="json"),
]


Window = Annotated[list[End], Field(min_length=2, max_length=2)]


def _kind_of_margin(value: Any) -> str:
    return "quantiles of margins" if isinstance(value, dict | Quantiles) else "window"


Margin = (
    Annotated[
        Annotated[Window, Tag("window")] | Annotated[Quantiles, Tag("quantiles of margins")], Discriminator(_kind_of_margin)
    ]
    | None
)


def _as_demos(value: Any) -> Any:
    if value in ("one", "all") or (type(value) is int and value >= 1):
        return value
    raise ValueError("must be one, all, or a number of answers from 1 on")


Demos = Annotated[Literal["one", "all"] | int, PlainValidator(_as_demos, json_schema_input_type=Literal["one", "all"] | int)]


class Sides(Section):
    """The source models whose answers may be chosen, and those whose answers may be rejected: strong against weak (Olmo 3)."""

    chosen: Annotated[list[str], Field(min_length=1)]
    """Models whose answers may be chosen; only their right answers become demos."""
    rejected: Annotated[list[str], Field(min_length=1)]
    """Models whose answers may be rejected; a model may be in both lists."""


class LengthDifference(Section):
    """The largest difference in length, in one of two units."""

    chars: Annotated[int, Field(strict=True, ge=0)] | None = None
    """A number of characters."""
    tokens: Annotated[int, Field(strict=True, ge=0)] | None = None
    """A number of tokens as each source counts them; every response must have a count."""


def _kind_of_pairing(value: Any) -> str:
    return "lists of sources" if isinstance(value, dict | Sides) else "pairing"


Pairing = Annotated[
    Annotated[Literal["same_source", "any_source"], Tag("pairing")] | Annotated[Sides, Tag("lists of sources")],
    Discriminator(_kind_of_pairing),
]


class Select(Section):
    allow_unjudged: Annotated[bool, Field(strict=True)] = False
    """Let answers that neither a verifier nor a judge has looked at become demos; a hash decides which one."""
    judge: str | None = None
    """The judge to use if there are several: its name with or without the revision. mean_rank: all of them, by the mean over
    judges of the share of a prompt's other answers that an answer outscores (a tie counts half), from 0 to 1."""
    split: Literal["pairs_first", "share", "hash"] = "pairs_first"
    """pairs_first: prompts with a valid pair -> DPO, other prompts with a right answer -> SFT. share: of the N prompts with a
    valid pair, floor(sft_share x N) -> SFT in a stable hash order, the rest -> DPO. hash: every prompt whose hash (of its
    messages, 0 to 1) is below sft_share -> SFT, the others -> DPO; this precedes all rules, so no rule moves a prompt."""
    sft_share: Share = 0.4
    """The share of the prompts for SFT, with split: share or hash; pairs_first ignores it."""
    demos_per_prompt: Demos = "one"
    """The number of different right answers per prompt that become demos: the one with the highest score, this many, or all."""
    pass_rate_min: Share | None = None
    """Right answers count only if at least this share of the source's verified answers to the prompt is right: a right one
    among many wrong ones may be luck, with wrong steps. Needs a verifier."""
    pairing: Pairing = "same_source"
    """same_source: both answers of a pair come from one source model (FuseChat-3.0). any_source: from any two. {chosen: [A, B],
    rejected: [C]}: the chosen one from A or B, the rejected one from C, and one pair per prompt."""
    target: str | None = None
    """The source model that will be trained on these data. Pairs are made of its own answers (or of the sources that pairing
    names), it gives no demos, and each pair gets the best right answer of the other sources: triples for WRPO."""
    search: Literal["extremes", "feasible"] = "extremes"
    """extremes: the best right against the worst wrong answer, and no pair if these break a rule (FuseChat-3.0). feasible: if
    they do, the right and the wrong answer with the largest margin that obeys the window and the rules about lengths."""
    per_prompt: Literal["one", "one_per_source"] = "one"
    """one: the pair with the largest margin; one_per_source: one pair of each source."""
    margin: Margin = None
    """The allowed chosen minus rejected score, both ends included: [low, high], or quantiles of the run's own margins
    ({quantiles: [0.1, 0.9]}) for a judge whose scores have no fixed scale; null for no window."""
    length_adjust: Annotated[float, Field(strict=True, ge=0, le=1)] | None = None
    """Subtract this share of the slope of scores on the logarithm of the answers' characters from the scores before selecting;
    margins and the window use the adjusted scores."""
    length_tier: Annotated[float, Field(strict=True, gt=0, le=0.5)] | None = None
    """Pair the shortest of the nearly best answers with the longest of the nearly worst: those whose scores are at most this
    share of the largest margin away from the best and the worst."""
    length_ratio_max: Annotated[float, Field(strict=True, ge=1)] | None = None
    """Keep pairs whose longer text has at most this many times as many characters as the shorter."""
    length_difference_max: LengthDifference | None = None
    """Keep pairs whose longer text exceeds the shorter by at most this much: {chars: 400} or {tokens: 100}."""
    length_bins: Annotated[float, Field(strict=True, gt=0)] | None = None
    """The bin width of |ln(chosen/rejected characters)|: each bin keeps as many pairs with a longer chosen as with a longer
    rejected answer."""
    flags: Literal["obey", "ignore"] = "obey"
    """obey: what people have excluded (datakit flag, datakit browse) is left out before answers are ranked."""

    @property
    def sides(self) -> Sides | None:
        """The source models whose answers may be chosen, and rejected; None if all may be both."""
        if isinstance(self.pairing, Sides):
            return self.pairing
        return Sides(chosen=[self.target], rejected=[self.target]) if self.target is not None else None

    @property
    def named_sources(self) -> dict[str, list[str]]:
        """The source models that the rule names, by field."""
        sides = self.pairing if isinstance(self.pairing, Sides) else None
        named = {"pairing.chosen": sides.chosen, "pairing.rejected": sides.rejected} if sides else {}
        return named | ({"target": [self.target]} if self.target is not None else {})

    @property
    def sft_below(self) -> float | None:
        """With split: hash, the hash below which a prompt goes to SFT; None for the other splits."""
        return self.sft_share if self.split == "hash" else None

    @property
    def most_demos(self) -> int | None:
        """The largest number of demos per prompt; None for any number."""
        wanted = self.demos_per_prompt
        return {"one": 1, "all": None}[wanted] if isinstance(wanted, str) else wanted

    @property
    def scored_rules(self) -> list[str]:
        """The fields that are set and need a judge's scores."""
        names = ("margin", "length_adjust", "length_tier")
        return [name for name in names if getattr(self, name) is not None]

    @property
    def without_lengths(self) -> Select:
        """The same rule without control of lengths."""
        fields = ("length_adjust", "length_tier", "length_ratio_max", "length_difference_max", "length_bins")
        return self.model_copy(update=dict.fromkeys(fields))

    @model_validator(mode="after")
    def _lengths(self) -> Select:
        difference = self.length_difference_max
        if difference is not None and (difference.chars is None) == (difference.tokens is None):
            raise ValueError("length_difference_max takes one unit: {chars: N} or {tokens: N}")
        return self

    @model_validator(mode="after")
    def _window(self) -> Select:
        if isinstance(self.margin, Quantiles) and not self.margin.quantiles[0] < self.margin.quantiles[1]:
            raise ValueError(f"margin.quantiles must be [low, high], got {self.margin.quantiles}")
        if isinstance(self.margin, list) and not self.margin[0] <= self.margin[1]:
            raise ValueError(f"margin must be [low, high], got {self.margin}")
        return self
