"""Turn a run of a benchmark into results for the models under test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from datakit.collect.rows import COLUMNS
from datakit.domains import Verifier, domain_of
from datakit.errors import BadInput, Origin
from datakit.evaluation import statistics
from datakit.evaluation.items import clusters_of
from datakit.evaluation.models import Model
from datakit.evaluation.table import ENDINGS, MOST_UNKNOWN, UNKNOWN, Contact, Difference, Figure, Mean, Results, Score
from datakit.recipe import Recipe, RemoteReward, Requested, ResponsesSource
from datakit.recipe.benchmarks import Benchmark, Found
from datakit.store import Run, load_sql
from datakit.tables import Row
from datakit.wording import did_you_mean


@dataclass(frozen=True)
class Answered:
    """How the answers of a run's models ended."""

    answers: pl.DataFrame
    """The columns name, prompt_id, sample_index, response_id, ending: one row per wanted answer."""
    values: pl.DataFrame
    """The columns name, prompt_id, value, n, passed, cluster: one row per model and prompt with a known answer."""


def recipe_for(found: Found, contestants: Sequence[Model], score: Row | None = None) -> Recipe:
    """Return the recipe of a benchmark, whose sources are the models; `score`: its judge. Raises BadInput if it is not
    valid."""
    benchmark = found.benchmark
    for field, columns in (("cluster", [benchmark.cluster] if benchmark.cluster else []), ("text", benchmark.text)):
        for column in columns:
            if column not in COLUMNS:
                raise BadInput(
                    f"benchmark {benchmark.name}: {field}: '{column}' is not a known column; choose one of {', '.join(COLUMNS)}"
                    f"{did_you_mean(column, COLUMNS)}"
                )
    sources = [model.source_for(benchmark) for model in contestants]
    if score is not None:
        return written_by(benchmark.recipe(sources, found.folder, score=score), contestants)
    recipe = written_by(benchmark.recipe(sources, found.folder), contestants)
    verifier_of(recipe)
    return recipe


def written_by(recipe: Recipe, contestants: Sequence[Model]) -> Recipe:
    """Return the recipe so that messages refer to the command line, where its models and its judge are given."""
    for source, model in zip(recipe.sources, contestants, strict=True):
        if isinstance(source, Requested):
            source.written_at(model.origin)
    for reward in recipe.score:
        if isinstance(reward, RemoteReward):
            reward.written_at(Origin("--judge-key-env", "--judge", "a YAML file, --judge JUDGE.yaml", "evaluate again"))
    return recipe


def verifier_of(recipe: Recipe) -> Verifier:
    """Return the verifier of a benchmark's domain. Raises BadInput if it has none."""
    verifier = domain_of(recipe).verifier
    if verifier is None:
        raise BadInput(f"domain {recipe.domain}: nothing is right or wrong there by itself, so a benchmark of it needs a judge")
    return verifier


def read_answers(run: Run, benchmark: Benchmark, models: Sequence[Model]) -> Answered:
    """Return the answers of the run, by the models' names on the command line."""
    recipe = run.recipe()
    verifier = verifier_of(recipe)
    names = {
        (source.model, None if isinstance(source, ResponsesSource) else source.revision): model.name
        for source, model in zip(recipe.sources, models, strict=True)
    }
    found = run.query(load_sql("evaluation/answers"), {"verifier": verifier.name, "wrong": sorted(verifier.wrong)})
    of_rows = [names.get((model or "", revision)) for model, revision in found.select("model", "revision").iter_rows()]
    answers = found.with_columns(pl.Series("name", of_rows, dtype=pl.String)).drop("model", "revision")
    known = answers.filter(~pl.col("ending").is_in(UNKNOWN))
    values = known.group_by("name", "prompt_id", maintain_order=True).agg(
        n=pl.len(), passed=(pl.col("ending") == "right").sum()
    )
    if benchmark.cluster is not None:
        clusters = clusters_of(recipe, benchmark.cluster)
        values = values.with_columns(cluster=pl.col("prompt_id").replace_strict(clusters, return_dtype=pl.String))
    return Answered(answers, _valued(values, benchmark.metric))


def _valued(values: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return the prompts with the value of the metric; for pass@k only those with at least k answers."""
    if metric == "accuracy":
        return values.with_columns(value=pl.col("passed") / pl.col("n"))
    k = int(metric.removeprefix("pass@"))
    enough = values.filter(pl.col("n") >= k)
    at_k = [statistics.pass_at_k(n, passed, k) for n, passed in enough.select("n", "passed").iter_rows()]
    return enough.with_columns(value=pl.Series(at_k, dtype=pl.Float64))


def results_of(
    run: Run, benchmark: Benchmark, models: Sequence[Model], base: str | None, answered: Answered, contacts: list[Contact]
) -> Results:
    """Return the table's results of one benchmark."""
    n_prompts = int(run.query("SELECT count(*) AS n FROM prompts WHERE dropped IS NULL")["n"][0])
    clusters = answered.values["cluster"].n_unique() if benchmark.cluster is not None and answered.values.height else None
    others = [model.name for model in models if base not in (None, model.name)]
    values = run.query(load_sql("evaluation/count_values"), {"verifier": verifier_of(run.recipe()).name})
    most = answered.answers.group_by("name", "prompt_id").len()["len"].max()
    scores = [_score(model, benchmark, answered, counts=values) for model in models]
    return Results(
        benchmark=benchmark.name,
        version=benchmark.version,
        run=str(run.folder),
        verifier=verifier_of(run.recipe()).name,
        metric=benchmark.metric,
        prompts=n_prompts,
        samples=int(str(most or benchmark.n)),
        smallest=statistics.smallest_difference(min((score.n for score in scores if score.n), default=n_prompts)),
        clusters=clusters,
        scores=scores,
        differences=[found for name in others if (found := difference(name, base, answered)) is not None],
        contacts=contacts,
    )


def _score(model: Model, benchmark: Benchmark, answered: Answered, counts: pl.DataFrame) -> Score:
    answers = answered.answers.filter(pl.col("name") == model.name)
    values = answered.values.filter(pl.col("name") == model.name)
    counted = dict(answers["ending"].value_counts().iter_rows())
    endings = {ending: counted.get(ending, 0) for ending in ENDINGS}
    n_unknown = sum(endings[ending] for ending in UNKNOWN)
    several = bool(values.height) and int(str(values["n"].max())) > 1
    n = answers["prompt_id"].n_unique()
    score = low = high = error = None
    if values.height and n_unknown <= MOST_UNKNOWN * answers.height:
        clusters = values["cluster"] if benchmark.cluster is not None else None
        score = float(values["value"].sum()) / values.height
        low, high = statistics.interval(values["value"], clusters, several)
        error = _known(statistics.standard_error(values["value"], clusters))
    own = not model.departs_from(benchmark)
    owed = answers.group_by("prompt_id").agg(
        n=pl.len(), right=(pl.col("ending") == "right").sum(), unknown=pl.col("ending").is_in(UNKNOWN).sum()
    )
    return Score(
        model=model.name,
        n=n,
        answers=answers.height,
        score=score,
        low=low,
        high=high,
        error=error,
        worst=_mean(benchmark.metric, owed["n"], owed["right"]),
        best=_mean(benchmark.metric, owed["n"], owed["right"] + owed["unknown"]),
        endings=endings,
        at_k=_at_k(values) | _entity_f1(answers, counts),
        published=figures_of(model, benchmark, low, high, own),
    )


def figures_of(
    model: Model, benchmark: Benchmark, low: float | None, high: float | None, own: bool, full: float = 100.0
) -> list[Figure]:
    """Return the published figures of a model; those of another protocol only if its answers came in a file. `own`: it was
    asked and judged in the benchmark's own way. `full`: the number that a score of 1 is published as."""
    return [
        Figure(value, one.protocol, None if low is None or high is None else low <= value <= high)
        for one in benchmark.published
        if is_called(one.model, model.names) and (own if one.protocol is None else model.is_imported)
        for value in [one.score / full]
    ]


def is_called(published: str, names: Sequence[str]) -> bool:
    """Return whether a published name is one of a model's names, or the last part of one.

    >>> is_called("google/gemma-2-9b-it", ["gemma", "gemma-2-9b-it@together"])
    False
    >>> is_called("google/gemma-2-9b-it", ["base", "Gemma-2-9B-it"])
    True
    """
    spelled = {published.lower(), published.lower().rpartition("/")[2]}
    return any(name.lower() in spelled or name.lower().rpartition("/")[2] in spelled for name in names)


def _mean(metric: str, n: pl.Series, passed: pl.Series) -> float | None:
    counts = pl.DataFrame({"n": n, "passed": passed})
    values = _valued(counts, metric)["value"]
    return float(values.sum()) / len(values) if len(values) else None


def _at_k(values: pl.DataFrame) -> dict[str, float]:
    """Return avg@n, and pass@k for k = 2, 4, ... and n, if every prompt has that many known answers."""
    most = int(str(values["n"].min())) if values.height else 1
    if most < 2:
        return {}
    ks = sorted({most, *(1 << power for power in range(1, most.bit_length()) if 1 << power <= most)})
    found = {f"pass@{k}": _mean(f"pass@{k}", values["n"], values["passed"]) for k in ks}
    average = {f"avg@{most}": _mean("accuracy", values["n"], values["passed"])}
    return {name: mean for name, mean in {**average, **found}.items() if mean is not None}


def _entity_f1(answers: pl.DataFrame, of_all: pl.DataFrame) -> dict[str, float]:
    """Return entity F1 over the values of all answers together (micro), as usual for dialogue systems; empty without values."""
    counts = answers.join(of_all, on="response_id")
    right, wrong, left_out = (int(counts[name].sum()) for name in ("n_right", "n_wrong", "n_left_out"))
    return {"entity_f1": 2 * right / (2 * right + wrong + left_out)} if counts.height else {}


def difference(name: str, base: str | None, answered: Answered) -> Difference | None:
    """Return the difference of a model to the base; None if they have no prompt in common."""
    both = pairs_of(name, base, answered)
    if not both.height:
        return None
    d = both["value"] - both["value_base"]
    clusters = both["cluster"] if "cluster" in both.columns else None
    won, lost = int((d > 0).sum()), int((d < 0).sum())
    difference, error = float(d.sum()) / both.height, statistics.standard_error(d, clusters)
    single = clusters is None and both.select(pl.max_horizontal(pl.col("n").max(), pl.col("n_base").max())).item() == 1
    single = single and bool(d.is_in((-1.0, 0.0, 1.0)).all())
    low, high = statistics.bootstrap(d, clusters) if won + lost else (math.nan, math.nan)
    return Difference(
        model=name,
        n=both.height,
        difference=difference,
        error=_known(error),
        low=_known(low),
        high=_known(high),
        won=won,
        lost=lost,
        p=statistics.mcnemar(won, lost) if single else statistics.normal_p(difference, error),
        test="mcnemar" if single else "normal",
    )


def pairs_of(name: str, base: str | None, answered: Answered) -> pl.DataFrame:
    """Return the prompts that both models have answered: value, value_base, n, n_base, passed, passed_base."""
    of_base = answered.values.filter(pl.col("name") == base).drop("name", "cluster", strict=False)
    return answered.values.filter(pl.col("name") == name).join(of_base, on="prompt_id", suffix="_base")


def means_of(results: Sequence[Results]) -> list[Mean]:
    """Return the mean of each model over all benchmarks, if there are several and it has a score on every one."""
    if len(results) < 2:
        return []
    found = []
    for name in [score.model for score in results[0].scores]:
        scores = [score for one in results for score in one.scores if score.model == name and score.score is not None]
        differences = [d for one in results for d in one.differences if d.model == name]
        if len(scores) < len(results):
            continue
        paired = len(differences) == len(results)
        mean = sum(score.score or 0.0 for score in scores) / len(scores)
        found.append(
            Mean(
                name,
                mean,
                _error_of_mean([score.error for score in scores]),
                sum(d.difference for d in differences) / len(differences) if paired else None,
                _error_of_mean([d.error for d in differences]) if paired else None,
            )
        )
    return found


def _error_of_mean(errors: Sequence[float | None]) -> float | None:
    """Return the standard error of a mean of independent parts with equal weights."""
    known = [error for error in errors if error is not None]
    return math.sqrt(sum(error * error for error in known)) / len(errors) if len(known) == len(errors) else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
