"""`datakit eval`: models under test on benchmarks, each an ordinary run, and the table of results."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datakit.cli.build import signals
from datakit.errors import raise_all

if TYPE_CHECKING:
    from datakit.options import Options
    from datakit.stages import Asked

SuiteOption = Annotated[str, typer.Option(help="The name or file of a suite or benchmark: fusechat3, gsm8k, mine.yaml.")]
ModelOption = Annotated[
    list[str],
    typer.Option(help="NAME=URL or URL#MODEL, NAME=FOLDER, NAME=FILE or FILE#MODEL (a file of answers), NAME=SOURCE.yaml."),
]
ColumnsOption = Annotated[
    str | None, typer.Option(help="Columns of files of answers: '{text: response, model: source_model}'.")
]
DataOption = Annotated[
    list[Path] | None, typer.Option(help="A run or an export: count its prompts that are in the benchmarks.")
]
JudgeOption = Annotated[
    str | None, typer.Option(help="For benchmarks that need one: URL, URL#MODEL or JUDGE.yaml.", show_default=False)
]
BaselineOption = Annotated[
    str | None,
    typer.Option(
        help="The model whose answers a pairwise judge compares others with: NAME of a --model, or NAME=URL|FOLDER|FILE.",
        show_default="the benchmark's",
    ),
]
FlipsOption = Annotated[
    bool, typer.Option("--flips", help="List the prompts that the base got right and a model got wrong, and vice versa.")
]


def evaluate(
    suite: SuiteOption,
    model: ModelOption,
    out: Annotated[
        Path | None, typer.Option(help="The folder of the benchmarks' runs.", show_default="runs/eval/<suite>")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The model to compare the others with.", show_default="the first")] = None,
    columns: ColumnsOption = None,
    api_key_env: Annotated[str | None, typer.Option(help="The environment variable that holds the key of the URLs.")] = None,
    judge: JudgeOption = None,
    judge_key_env: Annotated[str | None, typer.Option(help="The environment variable that holds the judge's key.")] = None,
    baseline: BaselineOption = None,
    budget_tokens: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many tokens, those of judges included.")
    ] = None,
    budget_cost: Annotated[
        float | None, typer.Option(help="Stop when it has cost this much, at the prices of the YAML files.")
    ] = None,
    data: DataOption = None,
    flips: FlipsOption = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N prompts of each.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be requested; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the table, or with --dry-run the plans, as JSON.")] = False,
    keep_going: Annotated[bool, typer.Option(help="Finish even if a model cannot be used; exit status 3.")] = False,
    retry_failures: Annotated[bool, typer.Option(help="Also retry what failed permanently.")] = False,
) -> None:
    """Evaluate models on benchmarks: scores with intervals, paired differences, flipped answers.

    A second call asks only for what is missing. Ctrl-C is safe at any time.
    """
    from datakit.evaluation.contest import read_baseline, read_judge
    from datakit.evaluation.models import read_models
    from datakit.options import Options
    from datakit.recipe import Budget
    from datakit.stages import Asked

    models = read_models(model, columns, api_key_env)
    where = read_judge(judge, judge_key_env) if judge else None
    opponent = read_baseline(baseline, models, columns, api_key_env) if baseline else None
    budget = Budget(tokens=budget_tokens, cost=budget_cost)
    asked = Asked(
        suite, models, out=out, base=base, data=data or [], flips=flips, judge=where, baseline=opponent, budget=budget
    )
    options = Options("verify", limit=limit, retry_failures=retry_failures, keep_going=keep_going, signals=signals)
    _plan(asked, options, json) if dry_run else _evaluate(asked, options, json)


def _evaluate(asked: Asked, options: Options, json: bool) -> None:
    from datakit import stages
    from datakit.cli.printing import print_json
    from datakit.screen.console import open_console
    from datakit.screen.evaluation import draw
    from datakit.screen.watch import Watch

    again = "datakit eval " + " ".join(shlex.quote(arg) for arg in sys.argv[2:])
    with Watch(again, interrupted=lambda: bool(signals.received)) as watch:
        evaluation, stopped = stages.evaluate(asked, options, watch, watch.summary)
    print_json(evaluation.as_json()) if json else draw(evaluation, open_console())
    raise_all(stopped)


def _plan(asked: Asked, options: Options, json: bool) -> None:
    from datakit import dry_run, stages
    from datakit.cli.printing import print_json
    from datakit.screen.console import open_console
    from datakit.screen.costs import draw_plan
    from datakit.screen.ink import Ink
    from datakit.screen.watch import Watch

    with Watch() as watch:
        plans = stages.plan_evaluation(asked, options, watch)
    if json:
        print_json({name: dry_run.as_json(plan) for name, plan in plans.items()})
        return
    console = open_console()
    for name, plan in plans.items():
        console.print(Ink(console.options.ascii_only).text(f"\n{name}", "bold"))
        draw_plan(plan, console)
