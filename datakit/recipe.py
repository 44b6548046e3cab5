"""One YAML file -> one frozen Recipe. Sections are named after the stages; the doc of a field is the string under it.

A recipe has no inheritance, interpolation or imports; relative paths are relative to its file; secrets are only named
(`api_key_env`). `load` gives errors that say file, field, value and the nearest valid name.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    PrivateAttr,
    Tag,
    ValidationError,
    model_validator,
)

from datakit.complaints import explain
from datakit.errors import RecipeError
from datakit.recipe_rewards import ArmoRM, Classifier, LLMJudge, LocalReward, RemoteReward, Reward, Served
from datakit.recipe_sources import (
    EndpointSource,
    FilePrompts,
    HubPrompts,
    Name,
    Price,
    PromptSource,
    ResponsesSource,
    Sampled,
    Sampling,
    Section,
    ServeSource,
    Share,
    Source,
)
from datakit.tables import canonical_json
from datakit.tables import digest as digest_of

__all__ = [
    "ArmoRM",
    "Budget",
    "Classifier",
    "EndpointSource",
    "FilePrompts",
    "HubPrompts",
    "LLMJudge",
    "Limits",
    "LocalReward",
    "Quantiles",
    "Recipe",
    "RemoteReward",
    "ResponsesSource",
    "Reward",
    "Sampled",
    "Select",
    "ServeSource",
    "Served",
    "Source",
    "Verify",
    "assign",
    "digest",
    "load",
    "parse",
]

Strictness = Literal["lenient", "strict"]


class Verify(Section):
    timeout_s: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """How long checking one answer may take before its checker is killed; by default 2 for math, 5 for code."""
    memory_mb: Annotated[int, Field(strict=True, ge=64)] | None = None
    """The address space of a process that checks, where the platform can limit it; by default 2048 for math, 1024 for code."""
    percent: Strictness = "lenient"
    """Math. lenient: a percent sign that only one side writes is ignored (12% is 12, and 0.12). strict: 12% is 0.12."""
    units: Strictness = "lenient"
    """Math. lenient: a unit that only one side writes is ignored. strict: 5 cm is not 5. On both sides it must agree."""
    base: Strictness = "lenient"
    """Math. lenient: the base of a number may be left out (4210_5 is 4210). strict: not. On both sides it must agree."""
    brackets: Strictness = "lenient"
    """Math. lenient: (3, 4) is 3, 4. strict: both need brackets, or neither. On both sides they must agree."""
    rounding: Strictness = "lenient"
    """Math. lenient: a gold written as a decimal is met by what rounds to it at its digits (3.14 by 3.14159, not the other way
    round), an exact one by a decimal within a millionth. strict: values must be equal."""
    libraries: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]] = []
    """Code. Packages of this environment that programs and tests may import, loaded once: [numpy]. By default none."""
    allow_unsafe: Annotated[bool, Field(strict=True)] = False
    """Code. Run programs also where nothing can confine them: they can then read, write and reach what you can."""
    workers: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Worker processes; by default one a core. May change between runs."""


ONLY_FOR = {
    **dict.fromkeys(("percent", "units", "base", "brackets", "rounding"), ("math",)),
    **dict.fromkeys(("libraries", "allow_unsafe"), ("code",)),
    **dict.fromkeys(("timeout_s", "memory_mb", "workers"), ("math", "code")),
}
"""Options of `verify`, and the domains that read them."""


def _as_list(value: Any) -> Any:
    """One reward model may be written without the list around it; null is no judge."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


MEAN_RANK = "mean_rank"


class Quantiles(Section):
    quantiles: Annotated[list[Share], Field(min_length=2, max_length=2)]
    """[0.1, 0.9]: from the margin that a tenth of the candidates do not pass to the one that nine tenths do not, ends included.
    Candidates are the best right against the worst wrong answer, one a prompt and source (one a prompt with any_source), before
    any rule about margins or lengths; they are taken from the run itself."""


def _read_end(value: Any) -> Any:
    return {"inf": math.inf, "-inf": -math.inf}.get(value, value) if isinstance(value, str) else value


def spell_end(value: float) -> float | str:
    """An end of a window as JSON can have it."""
    return value if math.isfinite(value) else str(value)


End = Annotated[float, Field(strict=True), BeforeValidator(_read_end), PlainSerializer(spell_end, when_used="json")]
Window = Annotated[list[End], Field(min_length=2, max_length=2)]


def _kind_of_margin(value: Any) -> str:
    return "quantiles of margins" if isinstance(value, dict | Quantiles) else "window"


class Select(Section):
    judge: str | None = None
    """Which judge, where there are several: its name with or without the revision; mean_rank: all of them, by the mean over
    judges of the share of a prompt's other answers that an answer outscores (a tie counts half), from 0 to 1."""
    split: Literal["pairs_first", "share"] = "pairs_first"
    """pairs_first: prompts with a valid pair -> DPO, other prompts with a right answer -> SFT. share: of the prompts with a
    valid pair floor(sft_share x N) -> SFT in a stable hash order, the rest -> DPO."""
    sft_share: Share = 0.4
    pairing: Literal["same_source", "any_source"] = "same_source"
    """same_source: both answers of a pair come from one source model (FuseChat-3.0)."""
    per_prompt: Literal["one", "one_per_source"] = "one"
    """one: the pair with the largest margin; one_per_source: each source's pair."""
    margin: (
        Annotated[
            Annotated[Window, Tag("window")] | Annotated[Quantiles, Tag("quantiles of margins")], Discriminator(_kind_of_margin)
        ]
        | None
    ) = None
    """The window of chosen minus rejected score, both ends included: [low, high], or quantiles of the run's own margins
    ({quantiles: [0.1, 0.9]}) for a judge whose scores have no scale of their own; null for no window."""
    length_ratio_max: Annotated[float, Field(strict=True, ge=1)] | None = None
    """Keep pairs whose longer text has at most this many times the characters of the shorter."""
    length_bins: Annotated[float, Field(strict=True, gt=0)] | None = None
    """Bin width of |ln(chosen/rejected characters)|: in each bin as many pairs with longer chosen as with longer rejected."""

    @model_validator(mode="after")
    def _window(self) -> Select:
        if isinstance(self.margin, Quantiles) and not self.margin.quantiles[0] < self.margin.quantiles[1]:
            raise ValueError(f"margin.quantiles must be [low, high], got {self.margin.quantiles}")
        if isinstance(self.margin, list) and not self.margin[0] <= self.margin[1]:
            raise ValueError(f"margin must be [low, high], got {self.margin}")
        return self


class Limits(Section):
    """What `inspect` holds the data to; past one it exits 1. Null switches a limit off."""

    min_pairs: Annotated[int, Field(strict=True, ge=0)] | None = 1
    min_demos: Annotated[int, Field(strict=True, ge=0)] | None = None
    max_chosen_longer_share: Share | None = 0.8
    """Share of pairs whose chosen answer is the longer one."""
    max_truncated_share: Share | None = None
    """Share of responses cut off at max_tokens."""
    max_failure_share: Share | None = None
    """Share of wanted responses that are missing and have a failure row."""


class Budget(Section):
    """What a run may spend on samples, its earlier builds included; a build that comes to it stops with exit status 3."""

    tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Prompt and completion tokens together, as the servers count them. May be passed by what is in flight then."""
    cost: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """In the currency of the sources' prices."""


class Recipe(Section):
    """A whole build."""

    domain: Name
    prompts: list[PromptSource] = []
    """May be left out where a responses source brings its own."""
    sources: Annotated[list[Source], Field(min_length=1)]
    budget: Budget = Budget()
    verify: Verify = Verify()
    score: Annotated[list[Reward], BeforeValidator(_as_list)] = []
    """A reward model, a list of them, or null: no judge."""
    select: Select = Select()
    limits: Limits = Limits()

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @property
    def folder(self) -> Path:
        """The folder that relative paths of this recipe start from."""
        return self._folder

    @property
    def sampled(self) -> list[EndpointSource | ServeSource]:
        """The sources that answer requests."""
        return [s for s in self.sources if not isinstance(s, ResponsesSource)]

    @property
    def imported(self) -> list[ResponsesSource]:
        """The sources that exist already."""
        return [s for s in self.sources if isinstance(s, ResponsesSource)]

    @property
    def imported_judges(self) -> dict[str, str]:
        """The judges whose scores came with responses, as the recipe calls them: the names that their scores have.

        The version is that of the file or dataset (`NAME@<revision>`), of several sources of one judge a digest of theirs.
        """
        revisions: dict[str, list[str]] = {}
        for source in self.imported:
            if source.judge is not None:
                revisions.setdefault(source.judge, []).append(source.revision or "")
        return {
            name: f"{name}@{found[0] if len(found) == 1 else digest_of(*sorted(found))[:12]}"
            for name, found in revisions.items()
        }

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if not self.prompts and not self.imported:
            raise ValueError("no prompts: add a prompts section, or a responses source that brings its own")
        seen: dict[tuple[str | None, ...], int] = {}
        for at, source in enumerate(self.sources):
            if isinstance(source, ResponsesSource):
                continue
            identity = (source.model, source.revision, source.sampling_text)
            if identity in seen:
                raise ValueError(
                    f"sources.{seen[identity]} and sources.{at} are the same model ({source.model}) with the same sampling; "
                    "replicas of one model go into one source's base_urls"
                )
            seen[identity] = at
        if self.budget.cost is not None and not any(source.price.input or source.price.output for source in self.sampled):
            raise ValueError("budget.cost needs prices: give sources a price, or set budget.tokens")
        for option, domains in ONLY_FOR.items():
            value = getattr(self.verify, option)
            if self.domain not in domains and value != getattr(Verify(), option):
                named = " and ".join(domains)
                raise ValueError(f"verify.{option} is for domain {named}, this recipe's is {self.domain} (got {value!r})")
        if not self.score and not self.imported_judges and self.select.margin is not None:
            raise ValueError("select.margin must be null without a judge (score: null)")
        if twice := sorted({reward.type for reward in self.score} & set(self.imported_judges)):
            raise ValueError(f"judge: '{twice[0]}' is the name of a reward model in score; call the imported judge otherwise")
        return self


SECTIONS: dict[str, type[BaseModel]] = {
    **{"endpoint": EndpointSource, "serve": ServeSource, "responses": ResponsesSource, "file": FilePrompts, "hub": HubPrompts},
    **{"armorm": ArmoRM, "classifier": Classifier, "served": Served, "llm_judge": LLMJudge},
    **{
        "sampling": Sampling,
        "price": Price,
        "budget": Budget,
        "verify": Verify,
        "select": Select,
        "margin": Quantiles,
        "limits": Limits,
    },
}
"""What a name in a problem's location means: a field, or the `type` of a union."""


def load(path: Path) -> Recipe:
    """Read a recipe. Raises RecipeError with one line a problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a recipe: {error}") from error
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that there is not
        raise RecipeError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    return parse(values, name=str(path), folder=path.parent.absolute())


def parse(values: Any, name: str, folder: Path) -> Recipe:
    """Build a recipe from parsed YAML or JSON; `name` is how messages call its origin."""
    if not isinstance(values, dict):
        raise RecipeError(f"{name}: a recipe is a mapping with domain, prompts, sources, ...; got {values!r:.60}")
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{name}: {line}" for line in explain(error, values, Recipe, SECTIONS))) from None
    recipe._folder = folder
    return recipe


def digest(recipe: Recipe) -> str:
    """A stable short id of everything in the recipe (SHA-256 of its canonical JSON, 16 hex digits)."""
    return hashlib.sha256(canonical_json(recipe.model_dump(mode="json")).encode()).hexdigest()[:16]


def assign(recipe: Recipe, settings: list[str]) -> Recipe:
    """The recipe with `--set section.field=VALUE` applied; VALUE is YAML."""
    values = recipe.model_dump(mode="json")
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set {setting}: write it as section.field=value, for example select.margin=[0.01,0.1]")
        *sections, last = field.strip().split(".")
        target: Any = values
        for section in sections:
            target = target.get(section) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise RecipeError(f"--set {setting}: there is no section '{'.'.join(sections)}'")
        try:
            target[last] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise RecipeError(f"--set {setting}: '{text}' is not valid YAML") from error
    return parse(values, name="--set", folder=recipe.folder)
