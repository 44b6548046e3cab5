"""Draws what the samples of a run took, and what a build would ask for."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datakit.ink import Ink, number, short_names
from datakit.planning import Plan, SourcePlan
from datakit.progress import Progress
from datakit.recipe import Recipe
from datakit.spending import money, source_labels, total


def draw_spending(spending: pl.DataFrame, recipe: Recipe, this_build: Progress, console: Console) -> None:
    """A line a source over all builds of the run, their sum, and this build's where that is less. Nothing for no requests."""
    rows = [row for row in spending.to_dicts() if row["n_responses"] or row["n_wanted"]]
    if not any(row["n_responses"] for row in rows):
        return
    ink, priced = Ink(console.options.ascii_only), spending["cost"].count() > 0
    labels = source_labels(recipe)
    earlier = [f"{row['model']} (earlier settings)" for row in rows]
    names = [labels.get((row["model"], row["revision"], row["sampling"]), old) for row, old in zip(rows, earlier, strict=True)]
    short, spent = short_names(names), total(spending)
    table = _table("", "responses", "requests", "tokens in", "tokens out", *(["cost"] if priced else []))
    for name, row in zip(names, rows, strict=True):
        counts = [_of(row["n_responses"], row["n_wanted"]), number(row["n_requests"])]
        counts += [number(row["prompt_tokens"]), number(row["completion_tokens"])]
        table.add_row(ink.text(short[name]), *counts, *([_cost(row["cost"])] if priced else []))
    if len(rows) > 1:
        counts = [number(int(spending[column].sum())) for column in ("n_responses", "n_requests")]
        counts += [number(spent.prompt_tokens), number(spent.completion_tokens)]
        table.add_row("all", *counts, *([_cost(spent.cost)] if priced else []), style="bold")
    if this_build.requests and this_build.prompt_tokens + this_build.completion_tokens != spent.tokens:
        counts = [number(this_build.done), number(this_build.requests)]
        table.add_row(
            "this build", *counts, number(this_build.prompt_tokens), number(this_build.completion_tokens), style="dim"
        )
    console.print(Text("samples of this run", style="bold"))
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    if uncounted := int(spending["n_uncounted"].sum()):
        console.print(Text(f"  {uncounted:,} responses came without token counts; the sums leave them out", style="yellow"))


def draw_plan(plan: Plan, console: Console) -> None:
    """What a build would ask for; what is only roughly known is marked, and said how it is known."""
    ink = Ink(console.options.ascii_only)
    console.print(Text(f"{plan.prompts:,} prompts", style="bold"))
    if not plan.sources:
        console.print("  no source answers requests: nothing would be asked for")
        return
    priced = any(source.cost is not None for source in plan.sources)
    short = short_names([source.source for source in plan.sources])
    table = _table("", "responses", "there", "to ask", "requests", "tokens in", "tokens out", *(["cost"] if priced else []))
    for source in plan.sources:
        numbers = [number(source.wanted), number(source.there), number(source.missing), *_amounts(source, ink)]
        table.add_row(ink.text(short[source.source]), *numbers, *([_cost(source.cost)] if priced else []))
    if len(plan.sources) > 1:
        sums = [sum(getattr(one, name) for one in plan.sources) for name in ("wanted", "there", "missing", "requests")]
        sums += [plan.planned.prompt_tokens, plan.planned.completion_tokens]
        table.add_row("all", *map(number, sums), *([_cost(plan.planned.cost)] if priced else []), style="bold")
    for part in (table, *_remarks(plan, short, ink)):
        console.print(Padding(part, (0, 0, 0, 2), expand=False))


def _amounts(source: SourcePlan, ink: Ink) -> Iterator[str]:
    """Requests and tokens, with what is known of them: about, at least, at most."""
    about, least, most = ("~", ">=", "<=") if ink.ascii_only else ("~", "≥", "≤")
    yield (least if source.requests_at_least and source.missing else "") + number(source.requests)
    yield (about if source.missing else "") + number(source.prompt_tokens)
    if source.completion_tokens is None:
        yield "?"
    else:
        mark = about if source.completion_tokens_by == "run" else most
        yield (mark if source.missing else "") + number(source.completion_tokens)


def _remarks(plan: Plan, short: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    """How the numbers are known, and whether budgets hold."""
    asked = [source for source in plan.sources if source.missing]
    known = {
        "tokens in: as this run's requests to the model took": [s for s in asked if s.prompt_tokens_by == "run"],
        "tokens in: rough, 4 characters a token (1.5 of Chinese, Japanese, Korean)": [
            s for s in asked if s.prompt_tokens_by == "characters"
        ],
        "tokens out: the mean of this run's answers": [s for s in asked if s.completion_tokens_by == "run"],
        "tokens out: at most max_tokens each": [s for s in asked if s.completion_tokens_by == "max_tokens"],
        "tokens out: not known without max_tokens": [s for s in asked if s.completion_tokens_by == "unknown"],
        "requests: at least, where the server honours n": [s for s in asked if s.requests_at_least],
    }
    for what, sources in known.items():
        if sources:
            who = "" if len(sources) == len(plan.sources) else f": {', '.join(short[one.source] for one in sources)}"
            yield ink.text(what + who, "dim")
    for source in plan.sources:
        if source.refused:
            what = f"{short[source.source]}: {source.refused:,} failed for good before; --retry-failures asks again"
            yield ink.text(what, "yellow")
    for name, budget in plan.budgets.items():
        written = money if name == "cost" else lambda amount: f"{amount:,.0f}"
        said = f"budget.{name}: {written(budget.spent)} spent and {written(budget.planned)} planned of {written(budget.limit)}"
        yield ink.text(f"{said}: {budget.verdict}", "" if budget.verdict == "holds" else "yellow")


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _of(there: int, wanted: int | None) -> str:
    return number(there) if wanted is None or there >= wanted else f"{there:,} of {wanted:,}"


def _cost(cost: float | None) -> str:
    return "-" if cost is None else money(cost)
