"""Draws a sweep of selection rules, one row per rule."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from datakit.audit.length_report import RuleResult
from datakit.screen.console import open_console

COLUMNS = ("pairs", "prompts", "longer chosen", "95 %", "ratio", "margin", "accuracy", "same", "demos", "chars")
NARROW = ("pairs", "longer chosen", "ratio", "margin", "same")
"""The columns if not all of them fit; the values of the sweep are never cut."""

LEGEND = (
    "longer chosen: share of the pairs whose chosen answer has more characters, with its 95 % interval; ratio: chosen/rejected "
    "characters, geometric mean; margin: mean; accuracy: how often the scores put right above wrong; same: pairs that "
    "the current rule has too; chars: of a demo, mean"
)


def draw_sweep(found: Sequence[RuleResult], console: Console | None = None) -> None:
    """Print the table; the first row is the recipe's rule."""
    console = console or open_console()
    table = _table(found, COLUMNS)
    if Measurement.get(console, console.options.update(max_width=1_000), table).maximum > console.width:
        table = _table(found, NARROW)
        console.print(
            Text(f"{', '.join(name for name in COLUMNS if name not in NARROW)}: shown in a wider terminal", style="dim")
        )
    console.print(table)
    console.print(Text(LEGEND, style="dim"))


def _table(found: Sequence[RuleResult], columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in (*found[-1].settings, *columns):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for point in found:
        knobs = [Text(str(point.settings[name])) for name in found[-1].settings] if point.settings else []
        shown = knobs or [Text("as it is"), *[Text("")] * (len(found[-1].settings) - 1)]
        numbers = dict(zip(COLUMNS, _numbers(point), strict=True))
        table.add_row(*shown, *(numbers[name] for name in columns))
    return table


def _numbers(point: RuleResult) -> list[str]:
    def number(value: float | None, spec: str) -> str:
        return "-" if value is None else format(value, spec)

    interval = f"{number(point.longer_low, '.3f')}..{number(point.longer_high, '.3f')}"
    return [
        f"{point.pairs:,}",
        f"{point.prompts:,}",
        number(point.longer_share, ".3f"),
        interval,
        number(point.length_ratio_geomean, ".3f"),
        number(point.margin_mean, ".3g"),
        number(point.judge_accuracy, ".3f"),
        f"{point.same_pairs:,}",
        f"{point.demos:,}",
        number(point.demo_chars, ",.0f"),
    ]
