"""`datakit eval`: models under test on benchmarks, each an ordinary run, and the table of what they can do."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from datakit.cli.build import signals
from datakit.errors import SourceStopped

SuiteOption = Annotated[str, typer.Option(help="A suite or a benchmark, by name or file: fusechat3, gsm8k, mine.yaml.")]
ModelOption = Annotated[
    list[str], typer.Option(help="NAME=URL or URL#MODEL, NAME=FOLDER, NAME=FILE or FILE#MODEL with answers, NAME=SOURCE.yaml.")
]
ColumnsOption = Annotated[str | None, typer.Option(help="Of files with answers: '{text: response, model: source_model}'.")]
DataOption = Annotated[
    list[Path] | None, typer.Option(help="A run or an export: how many of its prompts are in the benchmarks.")
]
FlipsOption = Annotated[bool, typer.Option("--flips", help="Show what the base got right and a model wrong, and back.")]


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
    from datakit import stages
    from datakit.evaluation.models import read_models
    from datakit.options import Options
    from datakit.screen.evaluation import draw
    from datakit.screen.report import open_console
    from datakit.screen.watch import Watch

    options = Options("verify", limit, retry_failures=retry_failures, keep_going=keep_going, signals=signals)
    again = "datakit eval " + " ".join(shlex.quote(arg) for arg in sys.argv[2:])
    with Watch(again, interrupted=lambda: bool(signals.received)) as watch:
        asked = stages.Asked(suite, read_models(model, columns, api_key_env), out, base, data or [], flips)
        evaluation, stopped = stages.evaluate(asked, options, watch, watch.summary)
    if json:
        from datakit.cli.printing import print_json

        print_json(evaluation.as_json())
    else:
        draw(evaluation, open_console())
    if stopped:
        raise SourceStopped("\n".join(map(str, stopped)))
