"""A benchmark with its models, and with its judge and baseline if a judge grades the answers.

--judge URL, URL#MODEL     an endpoint; without MODEL each benchmark asks for the judge of its published figures
--judge JUDGE.yaml         the fields of a recipe's judge section that say where the judge is and what it costs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datakit.client import read_access
from datakit.errors import BadInput, RecipeError
from datakit.evaluation.models import Model, read_models
from datakit.evaluation.scores import recipe_for
from datakit.recipe import Recipe
from datakit.recipe.benchmarks import Benchmark, Found
from datakit.recipe.yaml_file import read_yaml
from datakit.tables import Row
from datakit.wording import did_you_mean

OF_BENCHMARK = ("type", "prompt", "with_reference", "verdict", "labels", "orders", "against", "scale", "total", "rubric")


@dataclass(frozen=True)
class Contest:
    """A benchmark to run."""

    found: Found
    models: list[Model]
    """The models under test."""
    recipe: Recipe
    baseline: Model | None = None
    is_own_baseline: bool = False
    """True if the baseline is the benchmark's own, to which difficulties and published figures refer; also without a
    baseline."""

    @property
    def benchmark(self) -> Benchmark:
        return self.found.benchmark

    @property
    def contestants(self) -> list[Model]:
        """Return the sources of its run, in order: the models, and the baseline."""
        return _with(self.models, self.baseline)


def contest_for(found: Found, models: list[Model], judge: Row | None, baseline: Model | None) -> Contest:
    """Return the contest for a benchmark. Raises BadInput if something that it needs was not given."""
    benchmark = found.benchmark
    if not benchmark.judge:
        return Contest(found, models, recipe_for(found, models))
    if judge is None:
        raise BadInput(
            f"benchmark {benchmark.name}: its answers are judged by a model; give --judge URL#MODEL or --judge JUDGE.yaml "
            f"(published figures are of {benchmark.judge.get('model', 'none')}), or another suite: fusechat3_exact has no judge"
        )
    if benchmark.second is not None and (files := [model.name for model in models if model.is_imported]):
        raise BadInput(
            f"benchmark {benchmark.name}: its second question follows a model's own first answer, so {files[0]} cannot be a "
            "file: give a URL or a folder"
        )
    score: Row = {**benchmark.judge, **judge}
    if score["type"] != "pairwise":
        return Contest(found, models, recipe_for(found, models, score), is_own_baseline=True)
    opponent = baseline or _own_baseline(benchmark)
    contestants = _with(models, opponent)
    score["against"] = [model.name for model in contestants].index(opponent.name)
    return Contest(found, models, recipe_for(found, contestants, score), opponent, baseline is None)


def _with(models: Sequence[Model], opponent: Model | None) -> list[Model]:
    extra = opponent is not None and opponent.name not in {model.name for model in models}
    return [*models, *([opponent] if extra and opponent is not None else [])]


def _own_baseline(benchmark: Benchmark) -> Model:
    if not benchmark.baseline:
        raise BadInput(f"benchmark {benchmark.name}: it has no baseline; give --baseline NAME, one of --model, or NAME=FILE")
    name = str(benchmark.baseline.get("model", "baseline"))
    return Model(name, {"type": "responses", "model": name, **benchmark.baseline}, (name,))


def read_baseline(given: str, models: list[Model], columns: str | None, api_key_env: str | None) -> Model:
    """Return one of the models by its name, or another one written as in --model. Raises BadInput for anything else."""
    if "=" in given:
        [baseline] = read_models([given], columns, api_key_env)
        if baseline.name in {model.name for model in models}:
            raise BadInput(f"--baseline {given}: a --model has this name, too; give it another name, or the name alone")
        return baseline
    found = next((model for model in models if model.name == given), None)
    if found is None:
        known = [model.name for model in models]
        raise BadInput(
            f"--baseline {given}: no --model has this name (there are {', '.join(known)}); or write NAME=URL, NAME=FOLDER, "
            f"NAME=FILE{did_you_mean(given, known)}"
        )
    return found


def read_judge(given: str, api_key_env: str | None) -> Row:
    """Return where the judge is, as fields of its section. Raises BadInput if that cannot be read."""
    url, _, model = given.partition("#")
    read_access(api_key_env, {}, "--judge-key-env")
    if url.startswith(("http://", "https://")):
        where: Row = {"base_urls": [url], "api_key_env": api_key_env}
        return where | ({"model": model} if model else {})
    path = Path(given).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        raise BadInput(f"--judge {given}: write a URL, URL#MODEL, or a YAML file with base_urls, model, price, ...")
    try:
        values = read_yaml(path, "a judge")
    except RecipeError as error:
        raise BadInput(f"--judge {error}") from error
    if not isinstance(values, dict) or not values.get("base_urls"):
        raise BadInput(f"--judge {given}: a mapping with base_urls, model, api_key_env, price, ... is wanted")
    if taken := [field for field in OF_BENCHMARK if field in values]:
        raise BadInput(f"--judge {given}: {taken[0]}: the benchmark says that; write a benchmark file of your own")
    return values
