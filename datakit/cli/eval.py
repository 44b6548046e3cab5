"""`datakit eval`: models under test on benchmarks, each an ordinary run, and the table of what they can do."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datakit.cli.build import signals
from datakit.errors import BadInput, DatakitError, SourceStopped

if TYPE_CHECKING:
    from datakit.evaluation.models import Model
    from datakit.evaluation.table import Evaluation
    from datakit.options import Options
    from datakit.screen.watch import Watch


SuiteOption = Annotated[str, typer.Option(help="A suite or a benchmark, by name or file: fusechat3, gsm8k, mine.yaml.")]
ModelOption = Annotated[
    list[str], typer.Option(help="NAME=URL or URL#MODEL, NAME=FOLDER, NAME=FILE or FILE#MODEL with answers, NAME=SOURCE.yaml.")
]
ColumnsOption = Annotated[str | None, typer.Option(help="Of files with answers: '{text: response, model: source_model}'.")]
DataOption = Annotated[
    list[Path] | None, typer.Option(help="A run or an export: how many of its prompts are in the benchmarks.")
]
FlipsOption = Annotated[bool, typer.Option("--flips", help="Show what the base got right and a model wrong, and back.")]


@dataclass(frozen=True)
class _Asked:
    """What the command line asks for."""

    suite: str
    out: Path | None
    models: list[Model]
    base: str | None
    data: list[Path]
    flips: bool


def evaluate(
    suite: SuiteOption,
    model: ModelOption,
    out: Annotated[Path | None, typer.Option(help="Gets a run folder a benchmark.", show_default="runs/eval/<suite>")] = None,
    base: Annotated[str | None, typer.Option(help="Whom the others are compared with.", show_default="the first")] = None,
    columns: ColumnsOption = None,
    api_key_env: Annotated[str | None, typer.Option(help="The environment variable with the key of the URLs.")] = None,
    data: DataOption = None,
    flips: FlipsOption = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N prompts of each.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="The table as one JSON object on stdout.")] = False,
    keep_going: Annotated[bool, typer.Option(help="Finish also where a model cannot be used; exit status 3.")] = False,
    retry_failures: Annotated[bool, typer.Option(help="Ask again also for what failed for good.")] = False,
) -> None:
    """Evaluate models on benchmarks: scores with intervals, paired differences, what flipped.

    A second call asks only for what is missing. Ctrl-C is safe at any time.
    """
    from datakit.evaluation.models import read_models
    from datakit.options import Options
    from datakit.screen.evaluation import draw
    from datakit.screen.report import open_console
    from datakit.screen.watch import Watch

    options = Options("verify", limit, resample=True, retry_failures=retry_failures, keep_going=keep_going, signals=signals)
    again = "datakit eval " + " ".join(shlex.quote(arg) for arg in sys.argv[2:])
    with Watch(again, interrupted=lambda: bool(signals.received)) as watch:
        asked = _Asked(suite, out, read_models(model, columns, api_key_env), base, data or [], flips)
        evaluation, stopped = _evaluate(asked, options, watch)
    if json:
        from datakit.cli.printing import print_json

        print_json(evaluation.as_json())
    else:
        draw(evaluation, open_console())
    if stopped:
        raise SourceStopped("\n".join(map(str, stopped)))


def _evaluate(asked: _Asked, options: Options, watch: Watch) -> tuple[Evaluation, list[DatakitError]]:
    """One ordinary build a benchmark, and what each says; with what stopped some of them. Also written as eval.json.

    All that can be wrong with files is met before the first request.
    """
    from datakit import stages
    from datakit.cli.printing import as_json
    from datakit.evaluation.flips import read_flips
    from datakit.evaluation.items import contact, prompts_of
    from datakit.evaluation.scores import means_of, read_answers, recipe_for, results_of
    from datakit.evaluation.table import Evaluation
    from datakit.recipe.benchmarks import load_suite
    from datakit.store import Run

    models, names = asked.models, [model.name for model in asked.models]
    base = asked.base or names[0]
    if base not in names:
        raise BadInput(f"--base {base}: no --model is called so; there are {', '.join(names)}")
    suite, found = load_suite(asked.suite)
    folder = asked.out or Path("runs") / "eval" / suite
    recipes = [recipe_for(one, models) for one in found]
    texts = {data: prompts_of(data) for data in asked.data}
    results, flips, stopped = [], [], list[DatakitError]()
    for (benchmark, _), recipe in zip(found, recipes, strict=True):
        watch.say(f"{benchmark.name} ({benchmark.version})")
        for model in models:
            if model.departs_from(benchmark):
                watch.say(
                    f"{model.name} is asked without prefill: `transformers serve` cannot go on with an answer", warning=True
                )
        summary = stages.build(recipe, folder / benchmark.name, options, watch)
        watch.summary(summary)
        stopped += summary.stopped
        if stopped and not options.keep_going:
            raise stopped[0] if len(stopped) == 1 else SourceStopped("\n".join(map(str, stopped)))
        with Run.open(folder / benchmark.name) as run:
            answered = read_answers(run, benchmark, models)
            met = [contact(data, prompts, benchmark) for data, prompts in texts.items()]
            results.append(results_of(run, benchmark, models, base, answered, met))
            flips += read_flips(run, benchmark, base, names, answered) if asked.flips else []
    evaluation = Evaluation(suite, base if len(names) > 1 else None, names, results, means_of(results), flips)
    (folder / "eval.json").write_text(as_json(evaluation.as_json()) + "\n", encoding="utf-8")
    return evaluation, stopped
