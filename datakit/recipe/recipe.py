"""One YAML file -> one frozen Recipe. Sections are named after the stages; the doc of a field is the string under it.

A recipe has no inheritance, interpolation or imports; relative paths are relative to its file; secrets are only named
(`api_key_env`). Errors of `load` say file, field, value and the nearest valid name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from datakit.errors import DatakitError, Origin, RecipeError
from datakit.recipe.curate import Curate
from datakit.recipe.explain import explain, locate, names_in
from datakit.recipe.export import Export
from datakit.recipe.judging import ChatJudge, RewardSection
from datakit.recipe.probe import Probe
from datakit.recipe.rewards import EntityF1
from datakit.recipe.section import Endpoint, Located, Name, Requests, Section, Share
from datakit.recipe.select import Select
from datakit.recipe.sources import (
    EndpointSource,
    LocalSource,
    PromptSource,
    ResponsesSource,
    Sampled,
    ServeSource,
    Source,
    Way,
)
from datakit.recipe.verify import Verify, VerifyDialogue, notes_on, of_domain
from datakit.recipe.yaml_file import read_yaml
from datakit.tables import canonical_json
from datakit.tables import digest as digest_of
from datakit.wording import did_you_mean


def _as_list(value: Any) -> Any:
    """Return a list: one reward model may be written without the list around it; null means no judge."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


class Limits(Section):
    """Limits that the data must keep: `inspect` exits with 1 if one is broken. null switches a limit off."""

    min_pairs: Annotated[int, Field(strict=True, ge=0)] | None = 1
    """The minimum number of pairs for DPO."""
    min_demos: Annotated[int, Field(strict=True, ge=0)] | None = None
    """The minimum number of demos for SFT."""
    max_chosen_longer_share: Share | None = 0.8
    """The maximum share of pairs whose chosen answer is the longer one."""
    max_truncated_share: Share | None = None
    """The maximum share of incomplete responses: cut off, withheld, or a thought without an answer."""
    max_failure_share: Share | None = None
    """The maximum share of wanted responses that are missing and have a failure row."""
    min_judge_accuracy: Share | None = None
    """The minimum share of comparisons in which the selecting judge scores a right answer above a wrong one (by the
    verifier)."""


class Budget(Section):
    """What a run may spend on samples and judgements, earlier builds included; a build that reaches it stops with exit status
    3."""

    tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Prompt and completion tokens together, as the servers count them. Requests in flight may exceed it."""
    cost: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """An amount in the currency of the sources' prices."""


class Cluster(Section):
    """A cluster that verifies and scores instead of this machine. It is not stored in the run."""

    type: Literal["ray"] = "ray"
    address: str = "auto"
    """`auto`: the value of RAY_ADDRESS, or the cluster that runs on this machine; else host:port."""


def _as_mirror(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class Mirror(Section):
    """A copy of the run behind a URL. The store's keys and addresses are read from the environment, never from here."""

    url: Name
    """`s3://bucket/folder`, `file:///folder`, or any other URL of fsspec; with `--shard I/N` the subfolder `/shards/I`."""
    every_s: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 300.0
    """Rows are sealed, and therefore copied, at least this often, in seconds."""


class Recipe(Section):
    """The whole build."""

    domain: Name
    """The domain of the prompts, which decides how answers are verified: math, code, mcq, dialogue; instruct and chinese verify
    nothing."""
    prompts: list[PromptSource] = []
    """Where the prompts are. May be left out if a responses source brings its own."""
    curate: Curate = Curate()
    """Prompts and answers to leave out, before anything is sampled."""
    sources: Annotated[list[Source], Field(min_length=1)]
    """The models that answer: on servers (endpoint, serve), in this process (local), or read from files (responses)."""
    budget: Budget = Budget()
    """What samples and judgements may cost."""
    verify: Verify
    """How answers are checked: the options of the domain's verifier."""
    score: Annotated[
        list[RewardSection], BeforeValidator(_as_list, json_schema_input_type=RewardSection | list[RewardSection] | None)
    ] = []
    """A reward model, a list of them, or null for no judge."""
    select: Select = Select()
    """Which answers become demos and pairs."""
    probe: Probe | None = None
    """Which models' distributions over which texts are read, for `train fuse`; null: none."""
    export: Export = Export()
    """How demos and pairs are written for training."""
    limits: Limits = Limits()
    """What `datakit inspect` expects of the run."""
    cluster: Annotated[Cluster | None, Field(exclude=True)] = None
    """Where verify and score run; null: on this machine."""
    mirror: Annotated[
        Mirror | None, BeforeValidator(_as_mirror, json_schema_input_type=str | Mirror | None), Field(exclude=True)
    ] = None
    """Where the run is copied while it is built: a URL, or `{url, every_s}`."""

    @model_validator(mode="before")
    @classmethod
    def _verify_of_domain(cls, values: Any) -> Any:
        given = values.get("verify", {}) if isinstance(values, dict) else None
        if not isinstance(given, dict):
            return values
        return {**values, "verify": of_domain(values.get("domain"), given, cls.model_fields["verify"].annotation)}

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _name: str = PrivateAttr("")
    _notes: list[str] = PrivateAttr(default_factory=list)

    @property
    def folder(self) -> Path:
        """The folder that the recipe's paths are relative to."""
        return self._folder

    @contextmanager
    def named(self) -> Iterator[None]:
        """Put the recipe's file in front of the errors about fields that the block raises, as `load` does."""
        try:
            yield
        except DatakitError as error:
            if str(error).partition(":")[0].partition(".")[0] in Recipe.model_fields:
                lists = names_in(self.model_dump(include={"prompts", "sources", "score"}))
                error.args = (locate(str(error), self._name, lists),)
            raise

    @property
    def notes(self) -> list[str]:
        """Notes for the author of the recipe; a build prints them when it starts."""
        return self._notes

    @property
    def sampled(self) -> list[EndpointSource | ServeSource | LocalSource]:
        """The sources that answer prompts."""
        return [s for s in self.sources if not isinstance(s, ResponsesSource)]

    @property
    def ways(self) -> list[Way]:
        """The ways in which the sources are asked, in the order of the sources."""
        return [way for source in self.sampled for way in source.ways]

    @property
    def key_names(self) -> set[str]:
        """The environment variables that hold keys; servers that are started here do not get them."""
        asked = [section for section in (*self.sources, *self.score) if isinstance(section, Endpoint)]
        return {name for section in asked for name in section.variables}

    @property
    def is_priced(self) -> bool:
        """True if any source or judge whose tokens are counted has a price."""
        prices = [one.price for one in (*self.sampled, *self.score) if isinstance(one, Sampled | ChatJudge)]
        return any(price.input or price.output for price in prices)

    @property
    def imported(self) -> list[ResponsesSource]:
        """The sources whose responses exist already."""
        return [s for s in self.sources if isinstance(s, ResponsesSource)]

    @property
    def imported_judges(self) -> dict[str, str]:
        """The judges whose scores came with responses: the recipe's name -> the name in table scores.

        That is `NAME@<revision>` with the version of the file or dataset; a digest of the versions if a judge has several
        sources.
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
        if self.probe is None and (silent := [at for at, one in enumerate(self.sources) if getattr(one, "n", 1) == 0]):
            raise ValueError(f"sources.{silent[0]}.n: 0 gives no answers; a source that only reads texts needs a probe section")
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
        if self.budget.cost is not None and not self.is_priced:
            raise ValueError("budget.cost needs prices: give sources a price, or set budget.tokens")
        if self.domain != "dialogue" and any(isinstance(reward, EntityF1) for reward in self.score):
            raise ValueError(f"score: entity_f1 is for domain dialogue, this recipe's is {self.domain}")
        if not self.score and not self.imported_judges and self.select.scored_rules:
            raise ValueError(f"select.{self.select.scored_rules[0]} must be null without a judge (score: null)")
        if twice := sorted({reward.type for reward in self.score} & set(self.imported_judges)):
            raise ValueError(
                f"judge: '{twice[0]}' is the name of a reward model in score; give the imported judge another name"
            )
        self._check_teacher()
        return self

    def _check_teacher(self) -> None:
        teacher, probe = self.export.teacher, self.probe
        if teacher is None:
            return
        if probe is None:
            raise ValueError(f"export.teacher: {teacher} needs distributions: add a probe section")
        if teacher == "pairwise" and probe.pivot is None:
            raise ValueError("export.teacher: pairwise compares each source with the pivot: set probe.pivot")
        if teacher == "author" and probe.texts == "solutions":
            raise ValueError("export.teacher: author needs texts that a model has written, and solutions have no model")


def load(path: Path) -> Recipe:
    """Read a recipe. Raises RecipeError with one line per problem."""
    return parse(read_yaml(path, "a recipe"), name=str(path), folder=path.parent.absolute())


def parse(values: Any, name: str, folder: Path) -> Recipe:
    """Build a recipe from parsed YAML or JSON; `name` is its file's name in messages, empty if there is none."""
    if not isinstance(values, dict):
        raise RecipeError(f"{name or 'recipe'}: a recipe is a mapping with domain, prompts, sources, ...; got {values!r:.60}")
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        lines = explain(error, values, Recipe)
        raise RecipeError("\n".join(locate(line, name, names_in(values)) for line in lines)) from None
    recipe._folder, recipe._name = folder, name
    recipe._notes = notes_on(recipe.domain, values.get("verify"))
    for section in (*recipe.prompts, *recipe.curate.benchmarks, *recipe.sources, *recipe.score, recipe.probe):
        if isinstance(section, Located):
            section.locate(folder)
    if isinstance(recipe.verify, VerifyDialogue):
        recipe.verify.locate(folder)
    for name, sections in (("sources", recipe.sources), ("score", recipe.score)):
        for at, section in enumerate(sections):
            if isinstance(section, Requests):
                section.written_at(Origin.of_section("score" if name == "score" and len(sections) == 1 else f"{name}.{at}"))
    return recipe


def digest(recipe: Recipe) -> str:
    """Return a stable short id of everything in the recipe (SHA-256 of its canonical JSON, 16 hex digits)."""
    return hashlib.sha256(canonical_json(recipe.model_dump(mode="json")).encode()).hexdigest()[:16]


def assign(recipe: Recipe, settings: list[str]) -> Recipe:
    """Return the recipe with settings `section.field=VALUE` (as of --set) applied; VALUE is YAML."""
    values = recipe.model_dump(mode="json")
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set {setting}: write it as section.field=value, for example select.margin=[0.01,0.1]")
        *sections, last = field.strip().split(".")
        target: Any = values
        for section in sections:
            known = [name for name, value in target.items() if isinstance(value, dict)]
            target = target.get(section)
            if not isinstance(target, dict):
                missing = f"there is no section '{'.'.join(sections)}'{did_you_mean(section, known)}"
                raise RecipeError(f"--set {setting}: {missing}")
        try:
            target[last] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise RecipeError(f"--set {setting}: '{text}' is not valid YAML") from error
    return parse(values, name="", folder=recipe.folder)
