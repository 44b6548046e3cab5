"""Draws what the samples of a run cost, and what a build would request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datakit.dry_run import Plan, SourcePlan
from datakit.probe.plan import ReadingPlan
from datakit.progress import Progress
from datakit.sample.spending import SourceSpent, money, total
from datakit.screen.ink import Ink
from datakit.wording import NAME_CHARS, compact, counted, number, short_names, shorten_name

NARROW = 100
LEAST_NAME = 14


@dataclass(frozen=True)
class Line:
    """A source, or the sum, as a row of the table."""

    name: str
    cells: list[str]
    style: str = ""


def draw_spending(spending: Sequence[SourceSpent], this_build: Progress, console: Console) -> None:
    """Draw one line per source over all builds of the run, the sum, and this build's if that is less; nothing without
    samples."""
    if not any(source.n_responses for source in spending):
        return
    priced, written = any(source.cost is not None for source in spending), _written(console)

    def cells(responses: str, n_requests: int, tokens: tuple[int, int], cost: str) -> list[str]:
        return [responses, number(n_requests), *map(written, tokens), *([cost] if priced else [])]

    lines = []
    wanted_now = [source for source in spending if source.label is not None]
    short = short_names(source.model for source in wanted_now)
    for source in wanted_now:
        name = short[source.model] + (source.label or "").removeprefix(source.model)
        there, wanted = source.n_there, source.n_wanted
        answered = number(source.n_responses) if wanted is None or there >= wanted else f"{there:,} of {wanted:,}"
        cost = "-" if source.cost is None else money(source.cost)
        tokens = (source.prompt_tokens, source.completion_tokens)
        lines.append(Line(name, cells(answered, source.n_requests, tokens, cost)))

    def several(name: str, some: Sequence[SourceSpent], style: str) -> Line:
        responses, requests = sum(one.n_responses for one in some), sum(one.n_requests for one in some)
        took = total(some)
        tokens = (took.prompt_tokens, took.completion_tokens)
        return Line(name, cells(number(responses), requests, tokens, money(took.cost)), style)

    spent = total(spending)
    if earlier := [source for source in spending if source.label is None]:
        lines.append(several("no longer wanted", earlier, "dim"))
    if len(lines) > 1:
        lines.append(several("all", spending, "bold"))
    now = this_build
    if now.requests and now.prompt_tokens + now.completion_tokens != spent.tokens:
        tokens = (now.prompt_tokens, now.completion_tokens)
        lines.append(Line("in this build", cells(number(now.done), now.requests, tokens, ""), "dim"))
    titles = ["responses", "requests", "tokens in", "tokens out", *(["cost"] if priced else [])]
    _draw("samples of this run", titles, lines, console)
    if left := sum(source.n_responses - source.n_there for source in wanted_now):
        stay = "of sources above are not wanted now: they stay, and took their part of the tokens"
        console.print(Text(f"  {counted(left, 'responses')} {stay}", style="dim"))
    if uncounted := sum(source.n_uncounted for source in spending):
        console.print(
            Text(f"  {counted(uncounted, 'responses')} came without token counts; the sums leave them out", style="yellow")
        )


def draw_plan(plan: Plan, console: Console) -> None:
    """Draw what a build would request; estimates are marked, and a line says where they come from."""
    title = f"dry run of {counted(plan.prompts, 'prompts')}; nothing was asked or written"
    priced = any(source.cost is not None for source in plan.sources)
    names = short_names([source.source for source in plan.sources])
    lines = [Line(names[source.source], _amounts([source], priced, console)) for source in plan.sources]
    if len(lines) > 1:
        lines.append(Line("all", _amounts(plan.sources, priced, console), "bold"))
    titles = ["wanted", "there", "to ask", "requests", "tokens in", "tokens out", *(["cost"] if priced else [])]
    _draw(title, titles, lines, console)
    for remark, style in _remarks(plan, names) if lines else [("no source answers requests: there is nothing to ask for", "")]:
        console.print(Padding(Ink(console.options.ascii_only).text(remark, style), (0, 0, 0, 2)))


def _amounts(sources: Sequence[SourcePlan], priced: bool, console: Console) -> list[str]:
    """Return the totals of all sources as text, each marked as about, at least or at most if it is not exact."""
    written = _written(console)
    about, least, most = ("~", ">=", "<=") if console.options.ascii_only else ("~", "≥", "≤")
    asked = [source for source in sources if source.missing]
    known = {source.completion_tokens_by for source in asked}
    mark = "" if not asked else about if known == {"run"} else most if "unknown" not in known else least
    cells = [number(sum(getattr(one, name) for one in sources)) for name in ("wanted", "there", "missing")]
    cells += [(least if any(one.requests_at_least for one in asked) else "") + number(sum(one.requests for one in sources))]
    cells += [(about if asked else "") + written(sum(one.prompt_tokens for one in sources))]
    cells += ["?" if known == {"unknown"} else mark + written(sum(one.completion_tokens or 0 for one in sources))]
    costs = [one.cost for one in sources if one.cost is not None]
    return [*cells, *([mark + money(sum(costs)) if costs else "-"] if priced else [])]


def _remarks(plan: Plan, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield lines, with their styles, that say where the numbers come from and whether budgets suffice."""
    asked = [source for source in plan.sources if source.missing]
    in_batches = [one for one in asked if one.in_batches]
    by_run = [one for one in asked if one.prompt_tokens_by == "run"]
    rough = [one for one in asked if one.prompt_tokens_by == "characters"]
    known = {way: [one for one in asked if one.completion_tokens_by == way] for way in ("run", "max_tokens", "unknown")}
    for what, sources in (
        (
            "requests: at least; a server that ignores n is asked once per sample",
            [one for one in asked if one.requests_at_least],
        ),
        ("batches: at the source's own price; set that to the vendor's price for batches", in_batches),
        ("tokens in: as this run's requests to the model took", by_run),
        ("tokens in: rough, 4 characters per token (1.5 of Chinese, Japanese and Korean)", rough),
        ("tokens out: the mean of this run's answers", known["run"]),
        ("tokens out: at most, max_tokens for each answer", known["max_tokens"]),
        ("tokens out: cannot be told without max_tokens", known["unknown"]),
    ):
        if sources:
            who = "" if len(sources) == len(asked) else f" ({', '.join(names[one.source] for one in sources)})"
            yield what + who, "dim"
    for source in plan.sources:
        if source.refused:
            yield (
                f"{names[source.source]}: {source.refused:,} failed permanently before; --retry-failures retries them",
                "yellow",
            )
    for one in plan.judging:
        out = "?" if one.completion_tokens is None else f"at most {number(one.completion_tokens)}"
        cost = "" if one.cost is None else f", at most {money(one.cost)}"
        owed = f"{one.judge}: {one.missing:,} of {counted(one.wanted, 'judgements')} to ask"
        yield f"{owed}, about {number(one.prompt_tokens)} tokens in, {out} out{cost}", ""
    for judge, n_answers in plan.judged.items():
        if not n_answers:
            continue
        yield f"{judge} is asked about {counted(n_answers, 'answers')} at most; not part of any sum or budget", "dim"
    for reading in plan.readings:
        if reading.missing:
            yield _reading(reading), "dim"
    for name, budget in plan.budgets.items():
        spent, planned, limit = map(money if name == "cost" else number, (budget.spent, budget.planned, budget.limit))
        said = f"budget.{name}: {spent} spent and {planned} planned of {limit}: {budget.verdict}"
        yield said, "green" if budget.verdict == "holds" else "yellow"


def _reading(plan: ReadingPlan) -> str:
    most = " at most" if plan.at_most else ""
    cost = "" if plan.cost is None else f", {money(plan.cost)}"
    where = "here" if plan.way == "local" else "on its server"
    texts, tokens = counted(plan.missing, "texts"), counted(plan.prompt_tokens, "tokens")
    who = shorten_name(plan.model, NAME_CHARS)
    return f"probe: {who} reads {texts}{most} {where}, roughly {tokens}{cost}; not part of any sum or budget"


# ------------------------------------------------------------------------------------------------------------------- pieces


def _draw(title: str, titles: Sequence[str], lines: Sequence[Line], console: Console) -> None:
    """Return a table with names on the left, shortened to the width that the numbers leave."""
    console.print(Text(title, style="bold"))
    if not lines:
        return
    ink, gap = Ink(console.options.ascii_only), 2 if console.width >= NARROW else 1
    widths = [max(map(len, column)) for column in zip(titles, *(line.cells for line in lines), strict=True)]
    room = max(LEAST_NAME, console.width - 2 - sum(width + gap for width in widths))
    table = Table(box=None, header_style="dim", padding=(0, gap, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in titles:
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(ink.text(shorten_name(line.name, room)), *line.cells, style=line.style)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _written(console: Console) -> Callable[[int], str]:
    """Return the function that writes numbers of tokens: abbreviated if there is little room."""
    return number if console.width >= NARROW else compact
