"""Builds and evaluations from Python, with the progress that the commands show, on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datakit import stages
from datakit.errors import SourceStopped
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
    """Build a dataset, or go on with one; returns its run, open for reading.

    `recipe`: a domain with an embedded recipe ("math"), a YAML file, the same as a dict (paths start from the working folder),
    or a Recipe. `out`: the run folder, by default runs/<domain>. RecipeError and BadInput for what cannot be built;
    SourceStopped where a source ended early, unless `options.keep_going`: what was received is stored, and the same call goes
    on.
    """
    loaded = _as_recipe(recipe)
    folder = Path(out) if out is not None else Path("runs") / loaded.domain
    chosen = options or Options()
    with Watch() as watch:
        summary = stages.build(loaded, folder, chosen, watch)
        watch.summary(summary)
    if summary.stopped and not chosen.keep_going:
        raise summary.stopped[0] if len(summary.stopped) == 1 else SourceStopped("\n".join(map(str, summary.stopped)))
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
    """What models can do on a suite or a benchmark: scores with intervals, differences to `base` in pairs.

    `models`: as `datakit eval --model` has them (["sft=checkpoints/sft"]), or a dict of name and place. `data`: runs and
    exports, of whose prompts is said how many are in the benchmarks. `judge`, `baseline`: as the options, where a model
    says how good answers are. A second call asks only for what is missing.
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
    if stopped and not (options and options.keep_going):
        raise stopped[0]
    return evaluation


def _as_recipe(given: str | Path | Mapping[str, Any] | Recipe) -> Recipe:
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return parse(dict(given), "recipe", Path.cwd())
    is_file = isinstance(given, Path) or Path(given).suffix != "" or Path(given).is_file()
    return load(Path(given) if is_file else bundled_recipe(str(given)))
