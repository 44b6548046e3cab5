"""Builds and evaluations from Python; progress is shown on stderr, as by the commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datakit import stages
from datakit.errors import raise_all
from datakit.evaluation.contest import read_baseline, read_judge
from datakit.evaluation.models import read_models
from datakit.evaluation.table import Evaluation
from datakit.library.runs import OpenRun, open_run
from datakit.options import Options
from datakit.recipe import Budget, Recipe, load, parse
from datakit.recipe.files import bundled_recipe
from datakit.screen.watch import Watch


def build(
    recipe: str | Path | Mapping[str, Any] | Recipe, out: str | Path | None = None, options: Options | None = None
) -> OpenRun:
    """Build a dataset, or resume its build, and return its run, open for reading.

    `recipe`: a domain with an embedded recipe ("math"), a YAML file, a dict of the same fields (relative paths start from the
    working folder), or a Recipe. `out`: the run folder, by default runs/<domain>. Raise RecipeError or BadInput if it cannot
    be built, and SourceStopped or BudgetSpent if that ended sampling early and `options.keep_going` is false: what was
    received is stored, and the same call resumes. Raise MirrorBehind if the run is complete and its mirror is not.
    """
    loaded = _as_recipe(recipe)
    folder = Path(out) if out is not None else Path("runs") / loaded.domain
    chosen = options or Options()
    with Watch() as watch:
        summary = stages.build(loaded, folder, chosen, watch)
        watch.summary(summary)
    stopped = [] if chosen.keep_going else summary.stopped
    raise_all(stopped or summary.behind)
    return open_run(folder)


def evaluate(
    suite: str,
    models: Sequence[str] | Mapping[str, str],
    out: str | Path | None = None,
    base: str | None = None,
    data: Sequence[str | Path] = (),
    flips: bool = False,
    api_key_env: str | None = None,
    options: Options | None = None,
    judge: str | None = None,
    judge_key_env: str | None = None,
    baseline: str | None = None,
    budget: Budget | None = None,
) -> Evaluation:
    """Evaluate models on a suite or a benchmark: scores with intervals, and paired differences to `base`.

    `models`: as for `datakit eval --model` (["sft=checkpoints/sft"]), or a dict of name and place. `data`: runs and exports
    that are checked for benchmark prompts. `judge`, `baseline`: as the options, for benchmarks that a judge model grades.
    A second call asks only for what is missing.
    """
    named = [f"{name}={place}" for name, place in models.items()] if isinstance(models, Mapping) else list(models)
    known = read_models(named, None, api_key_env)
    asked = stages.Asked(
        suite,
        known,
        out=Path(out) if out is not None else None,
        base=base,
        data=[Path(one) for one in data],
        flips=flips,
        judge=read_judge(judge, judge_key_env) if judge is not None else None,
        baseline=read_baseline(baseline, known, None, api_key_env) if baseline is not None else None,
        budget=budget or Budget(),
    )
    with Watch() as watch:
        evaluation, stopped = stages.evaluate(asked, options or Options(), watch, watch.summary)
    raise_all([] if options and options.keep_going else stopped)
    return evaluation


def _as_recipe(given: str | Path | Mapping[str, Any] | Recipe) -> Recipe:
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return parse(dict(given), "recipe", Path.cwd())
    is_file = isinstance(given, Path) or Path(given).suffix != "" or Path(given).is_file()
    return load(Path(given) if is_file else bundled_recipe(str(given)))
