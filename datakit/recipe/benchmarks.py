"""Benchmarks and suites of them: YAML files of their own, in recipes/eval/. The doc of a field is the string under it.

A benchmark says what is asked, how, and how answers count; the models under test come from the command line. Unlike a
recipe it has `text`: the columns by which its items are found in training data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from datakit.errors import RecipeError
from datakit.recipe.explain import explain, locate, names_in
from datakit.recipe.files import recipes_folder
from datakit.recipe.judging import Grade
from datakit.recipe.recipe import Recipe, parse
from datakit.recipe.section import Columns, ExtraBody, Name, Sampling, Section
from datakit.recipe.sources import PromptSource, SamplingBy
from datakit.recipe.template import PromptTemplate
from datakit.recipe.yaml_file import read_yaml
from datakit.tables import Row
from datakit.wording import did_you_mean

Made = TypeVar("Made", bound=Section)


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class Published(Section):
    """A score that somebody else has published for a model."""

    model: Name
    score: Annotated[float, Field(ge=0, le=100)]
    """In percent."""
    protocol: Name | None = None
    """The protocol of asking and judging behind the score, if it differs from this file's."""


class Protocol(Section):
    """How models are asked: fields of a source."""

    system: str | None = None
    template: PromptTemplate | None = None
    """The text that is sent, with {prompt} for the prompt."""
    prefill: Name | None = None
    """The beginning of every answer."""
    sampling: Sampling = Sampling()
    sampling_by: SamplingBy = {}
    """Different sampling by the prompt's category: {category: {writing: {temperature: 0.7}}}."""
    extra_body: ExtraBody = {}


class Family(Protocol):
    """Differences for models whose name contains one of these words; its fields replace the benchmark's."""

    names: Annotated[list[Name], Field(min_length=1)]


class SecondTurn(Section):
    """A question that is asked after a model's own answer to the first."""

    columns: Columns
    """Columns of the same data: {prompt: turns.1, reference: reference.1}."""
    judge: dict[str, Any] = {}
    """Fields that replace those of the judge's section."""


class Benchmark(Protocol):
    """One benchmark."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    version: Name
    licence: Name
    domain: Name
    prompts: Annotated[list[PromptSource], BeforeValidator(_as_list), Field(min_length=1)]
    verify: dict[str, Any] = {}
    """As in a recipe."""
    n: Annotated[int, Field(strict=True, ge=1)] = 1
    """Answers per prompt."""
    metric: Annotated[str, Field(pattern=r"^(accuracy|pass@[1-9][0-9]*|win_rate|lc_win_rate|grade)$")] = "accuracy"
    """accuracy: the mean over prompts of the share of right answers. pass@k: the probability that one of k is right. With a
    judge: win_rate, lc_win_rate (as if answers were as long as the baseline's), or grade."""
    judge: dict[str, Any] = {}
    """The judge, if no verifier can tell right from wrong: a section as in a recipe's score (type: pairwise or grade), without
    the judge's address, which the command line gives. Its model is the judge of the published figures."""
    baseline: dict[str, Any] = {}
    """The answers that a pairwise judge compares others with: a responses source."""
    clear: Annotated[int, Field(strict=True, ge=1)] = 1
    """The number of verdicts that a clear one ([[A>>B]], [[B>>A]]) counts as."""
    length_control: Name | None = None
    """For lc_win_rate: AlpacaEval's file of baselines gamed by length and of difficulties, below $DATAKIT_DATA. It is used if
    the baseline is the benchmark's own; without it only lengths are controlled."""
    groups: dict[str, list[Name]] = {}
    """For grade: categories by group. The score is the mean of the groups; a group's is the mean of its categories."""
    second: SecondTurn | None = None
    """The question that follows each model's own first answer, and how the second answer is judged."""
    families: list[Family] = []
    cluster: Name | None = None
    """The column whose equal values mark prompts that belong together and are not independent draws: prompt, if questions are
    repeated with other choices."""
    text: Annotated[list[Name], Field(min_length=1)] = ["prompt"]
    """The columns (our names) by which items are found in training data."""
    published: list[Published] = []

    @model_validator(mode="after")
    def _enough_answers(self) -> Benchmark:
        if self.metric.startswith("pass@") and self.n < int(self.metric.removeprefix("pass@")):
            raise ValueError(f"metric: {self.metric} needs as many answers per prompt; n is {self.n}")
        needed = {"win_rate": "pairwise", "lc_win_rate": "pairwise", "grade": "grade"}.get(self.metric)
        if self.judge.get("type") != needed:
            raise ValueError(f"judge.type: metric {self.metric} needs {needed or 'no judge'}, got {self.judge.get('type')}")
        return self

    @property
    def scale(self) -> list[float]:
        """The worst and the best grade."""
        return [float(end) for end in self.judge.get("scale", Grade.model_fields["scale"].default)]

    def protocol_of(self, names: list[str]) -> Row:
        """Return how a model with these names is asked: the fields of its source, as a recipe has them."""
        families = [one for one in self.families if any(word.lower() in name.lower() for word in one.names for name in names)]
        values: Row = {}
        for said in (self, *families):
            values |= said.model_dump(include=set(Protocol.model_fields), exclude_unset=True)
        return {"n": self.n, **{name: value for name, value in values.items() if value not in (None, {})}}

    def recipe(self, sources: list[Row], folder: Path, prompts: list[Row] | None = None, **more: Any) -> Recipe:
        """Return an ordinary recipe whose sources are the models under test. `prompts` replaces the benchmark's; `more` has
        further sections."""
        asked = prompts or [section.model_dump(mode="json") for section in self.prompts]
        values = {"domain": self.domain, "prompts": asked, "verify": self.verify, "sources": sources, **more}
        values |= {"limits": {"min_pairs": None, "max_chosen_longer_share": None}}  # there are no pairs
        return parse(values, name=f"benchmark {self.name}", folder=folder)


class Suite(Section):
    """Several benchmarks."""

    name: Name
    benchmarks: Annotated[list[Name], Field(min_length=1)]
    """Names in recipes/eval/, or paths relative to the suite's file."""


class Found(NamedTuple):
    """A benchmark, and the folder that its paths are relative to."""

    benchmark: Benchmark
    folder: Path


def benchmarks_folder() -> Path:
    """Return the folder of the benchmarks that come with the project."""
    return recipes_folder() / "eval"


def known_benchmarks() -> list[str]:
    """Return the names of the benchmarks that come with the project."""
    return sorted(path.stem for path in benchmarks_folder().glob("*.yaml"))


def known_suites() -> list[str]:
    """Return the names of the suites that come with the project."""
    return sorted(path.stem for path in (benchmarks_folder() / "suites").glob("*.yaml"))


def load_benchmark(path: Path) -> Found:
    """Read a benchmark. Raises RecipeError with one line per problem."""
    benchmark = _read(path, Benchmark)
    for section in benchmark.prompts:
        section.locate(path.parent.absolute())
    return Found(benchmark=benchmark, folder=path.parent.absolute())


def load_suite(suite: str) -> tuple[str, list[Found]]:
    """Return the name and the benchmarks of a suite, given by name or file; a single benchmark is a suite of one."""
    inside = benchmarks_folder()
    path = next(
        (path for path in (inside / "suites" / f"{suite}.yaml", inside / f"{suite}.yaml") if path.is_file()), Path(suite)
    )
    if not path.is_file():
        known = [*known_suites(), *known_benchmarks()]
        said = f"known are {', '.join(known)}{did_you_mean(suite, known)}"
        raise RecipeError(f"--suite {suite}: no such suite, benchmark or file; {said}")
    values = read_yaml(path, "a benchmark")
    if not isinstance(values, dict) or "benchmarks" not in values:
        found = load_benchmark(path)
        return found.benchmark.name, [found]
    given = _read(path, Suite)
    files = [inside / f"{name}.yaml" if name in known_benchmarks() else path.parent / name for name in given.benchmarks]
    found_all = [load_benchmark(file) for file in files]
    names = [found.benchmark.name for found in found_all]
    if twice := {name for name in names if names.count(name) > 1}:
        raise RecipeError(f"{path}: benchmarks: two have the name '{min(twice)}'")
    return given.name, found_all


def _read(path: Path, kind: type[Made]) -> Made:
    values = read_yaml(path, "a benchmark")
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a {kind.__name__.lower()} is a mapping with name, ...; got {values!r:.60}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = explain(error, values, kind)
        raise RecipeError("\n".join(locate(line, str(path), names_in(values)) for line in lines)) from None
