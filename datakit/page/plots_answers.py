"""Plots of the sources' answers: how they ended, what the verifier found, what they cost."""

from __future__ import annotations

import math
from collections import Counter

import altair as alt

from datakit.audit.plotted import Solved
from datakit.audit.report import Report
from datakit.evaluation.statistics import pass_at_k
from datakit.page.figure import Figure, Percent, interval_of
from datakit.page.plots_prompts import OTHERS, Run, named, sources_of
from datakit.page.svg import ACCENT, DIM, Chart, Grid, Row, boxes, cells
from datakit.tables.intervals import Z

KINDS = (
    *("right", "wrong answer", "assertion", "exception", "syntax", "static analysis", "memory", "timeout"),
    *("no answer", "cut off", "cannot judge", "no verdict"),
)
SOLVED = ("never", "at most half", "more than half", "always")
MOST_WAYS = 8


def _solved(run: Run) -> list[Row]:
    """Return rows: how many prompts a source solves never, sometimes, and always."""
    counted = {source: Counter[str]() for source in dict.fromkeys(named(run, one.model) for one in _solves(run))}
    for one in _solves(run):
        how = (
            "never" if not one.passed else "always" if one.passed == one.answers else SOLVED[1 + (2 * one.passed > one.answers)]
        )
        counted[named(run, one.model)][how] += one.prompts
    return [
        {
            "source": source,
            "right": how,
            "prompts": counts[how],
            "share": Percent(counts[how] / counts.total()),
            **interval_of(counts[how] / counts.total(), counts.total()),
        }
        for source, counts in counted.items()
        for how in SOLVED
        if any(others[how] for others in counted.values())
    ]


def _draw_solved(rows: list[Row], grid: Grid) -> Chart:
    shown = [how for how in SOLVED if any(row["right"] == how for row in rows)]
    return cells(rows, grid, "right", "source", shown, sources_of(rows))


def _solves(run: Run) -> list[Solved]:
    return run.found.plotted.solved if run.found.plotted else []


def _pass_at_k(run: Run) -> list[Row]:
    """Return rows of pass@k: the unbiased estimate over the prompts with the most answers; the interval is of the mean over
    prompts.

    Empty if no prompt has several answers: then it equals the share of right ones.
    """
    if all(one.answers == 1 for one in _solves(run)):
        return []
    rows = []
    for source in dict.fromkeys(named(run, one.model) for one in _solves(run)):
        solved = [one for one in _solves(run) if named(run, one.model) == source]
        n = max(one.answers for one in solved)
        full = [one for one in solved if one.answers == n]
        prompts = sum(one.prompts for one in full)
        for k in [k for k in (1, 2, 4, 8, 16, 32, 64) if k < n] + [n]:
            each = [(pass_at_k(n, one.passed, k), one.prompts) for one in full]
            mean = sum(value * count for value, count in each) / prompts
            error = math.sqrt(sum(count * (value - mean) ** 2 for value, count in each)) / prompts
            ends = (Percent(max(0.0, mean - Z * error)), Percent(min(1.0, mean + Z * error)))
            row = {"source": source, "k": k, "pass@k": Percent(mean), "95% from": ends[0], "95% to": ends[1]}
            rows.append({**row, "prompts": prompts})
    return rows


def _draw_pass_at_k(rows: list[Row], grid: Grid) -> Chart:
    share = alt.Scale(domain=[0, 1])
    drawn = alt.Chart().encode(x=alt.X("k:Q", title="k answers", axis=alt.Axis(tickMinStep=1, tickCount=5)))
    up = alt.Y("pass@k:Q", scale=share, axis=alt.Axis(format=".0%"), title="one of k is right")
    lines = drawn.mark_line(color=ACCENT).encode(y=up)
    ranges = drawn.mark_rule(color=ACCENT).encode(y=alt.Y("95% from:Q", scale=share), y2="95% to")
    dots = drawn.mark_circle(color=ACCENT, size=30, opacity=1).encode(y=up)
    return grid.draw(rows, lines, ranges, dots, by="source", height=130)


def _prompts(run: Run) -> Counter[str]:
    """Return the number of prompts that each source has answered; the other sources are counted together."""
    prompts = Counter[str]()
    for one in run.found.sources:
        prompts[named(run, one.model)] += one.prompts or 0
    return prompts


def _kinds(run: Run) -> list[Row]:
    prompts = _prompts(run)
    counted, wholes = Counter[tuple[str, str]](), Counter[str]()
    for one in run.found.plotted.kinds if run.found.plotted else []:
        counted[named(run, one.model), one.kind] += one.responses
        wholes[named(run, one.model)] += one.responses
    return [
        {
            "source": source,
            "kind": kind,
            "responses": counted[source, kind],
            "share": Percent(counted[source, kind] / wholes[source]),
            **interval_of(counted[source, kind] / wholes[source], prompts[source]),
        }
        for source in wholes
        for kind in KINDS
        if counted[source, kind]
    ]


def _draw_kinds(rows: list[Row], grid: Grid) -> Chart:
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    return cells(rows, grid, "kind", "source", kinds, sources_of(rows))


def _ways(run: Run) -> list[Row]:
    passed, failed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for one in run.found.plotted.ways if run.found.plotted else []:
        passed[named(run, one.model), one.way] += one.passed
        failed[named(run, one.model), one.way] += one.failed
    found, prompts = passed + failed, _prompts(run)
    wholes = Counter[str]()
    for (source, _), count in found.items():
        wholes[source] += count
    return [
        {
            "source": source,
            "way": way,
            "answers": count,
            "share": Percent(count / wholes[source]),
            **interval_of(count / wholes[source], prompts[source]),
            "right of these": Percent(passed[source, way] / count),
        }
        for (source, way), count in found.items()
    ]


def _draw_ways(rows: list[Row], grid: Grid) -> Chart:
    frequent = Counter[str]()
    for row in rows:
        frequent[row["way"]] += row["answers"]
    ways = [way for way, _ in frequent.most_common(MOST_WAYS)]
    return cells([row for row in rows if row["way"] in ways], grid, "way", "source", ways, sources_of(rows))


def _endings(run: Run) -> list[Row]:
    """Return rows of endings, those of failed requests included; empty if every answer is complete."""
    counted, prompts = dict[str, Counter[str]](), _prompts(run)
    for one in run.found.sources:
        ends = {ending.reason: ending.responses for ending in one.endings or []}
        ends |= {"complete": (one.responses or 0) - sum(ends.values()), "failed": one.failures or 0}
        counted.setdefault(named(run, one.model), Counter()).update(ends)
    endings = [ending for ending, n in sum(counted.values(), Counter[str]()).most_common() if n]
    if set(endings) <= {"complete"}:
        return []
    return [
        {
            "source": source,
            "ending": ending,
            "answers": counts[ending],
            "share": Percent(counts[ending] / counts.total()),
            **interval_of(counts[ending] / counts.total(), prompts[source]),
        }
        for source, counts in counted.items()
        for ending in endings
        if counts[ending]
    ]


def _draw_endings(rows: list[Row], grid: Grid) -> Chart:
    return cells(rows, grid, "ending", "source", list(dict.fromkeys(row["ending"] for row in rows)), sources_of(rows))


def _latency(run: Run) -> list[Row]:
    names = ("10% below", "25% below", "median", "75% below", "90% below")
    return [
        {"source": named(run, one.model), "answers": one.n, **dict(zip(names, one.seconds, strict=True))}
        for one in (run.found.plotted.latency if run.found.plotted else [])
        if named(run, one.model) != OTHERS
    ]


def _draw_latency(rows: list[Row], grid: Grid) -> Chart:
    return boxes(rows, grid, "source", "seconds from the request to the answer")


def _spending(run: Run) -> list[Row]:
    report = run.found
    pairs = {source.model: source.pairs or 0 for source in report.sources}
    rows = []
    for one in report.plotted.spending if report.plotted else []:
        kept = pairs.get(one.model, 0)
        tokens = one.prompt_tokens + one.completion_tokens
        rows.append(
            {
                "source": run.short.get(one.label or one.model, one.label or named(run, one.model)),
                "requests": one.n_requests,
                "tokens in": one.prompt_tokens,
                "tokens out": one.completion_tokens,
                "tokens a pair": round(tokens / kept) if kept else None,
                "cost": one.cost,
                "cost a pair": one.cost / kept if kept and one.cost is not None else None,
            }
        )
    return rows


def _draw_spending(rows: list[Row], grid: Grid) -> Chart:
    tall = [{**row, "tokens": row[f"tokens {way}"], "way": way} for row in rows for way in ("in", "out")]
    colour = alt.Color("way:N", scale=alt.Scale(domain=["in", "out"], range=[DIM, ACCENT]), title="tokens")
    sources = sources_of(rows)
    bars = alt.Chart().mark_bar()
    bars = bars.encode(y=alt.Y("source:N", sort=sources, title=None), x=alt.X("tokens:Q", title="tokens"), color=colour)
    return grid.draw(tall, bars, height=28 * len(sources))


def _costs(run: Run) -> list[Row]:
    rows = [{"source": row["source"], "cost": row["cost"], "cost a pair": row["cost a pair"]} for row in _spending(run)]
    return [row for row in rows if row["cost"]]


def _draw_costs(rows: list[Row], grid: Grid) -> Chart:
    bars = alt.Chart().mark_bar(color=ACCENT)
    bars = bars.encode(y=alt.Y("source:N", sort=sources_of(rows), title=None), x=alt.X("cost:Q", title="cost, as prices say"))
    return grid.draw(rows, bars, height=28 * len(sources_of(rows)))


ANSWERS: tuple[Figure[Report], ...] = (
    Figure(
        "How often prompts are solved",
        "most prompts in the middle: some answers solve them, so they give pairs.",
        "most at one end: too easy or too hard for the source, so they give no pairs.",
        _solved,
        _draw_solved,
    ),
    Figure(
        "pass@k by source",
        "a line that rises: more answers per prompt find right ones.",
        "a flat line: more answers repeat the same ones, so raise the temperature, not n.",
        _pass_at_k,
        _draw_pass_at_k,
    ),
    Figure(
        "What the verifier found",
        "answers that are right, or wrong as the task makes them.",
        "many without an answer, cut off or impossible to judge: these are lost.",
        _kinds,
        _draw_kinds,
    ),
    Figure(
        "How answers were found in the texts",
        "nearly all in one reliable way.",
        "guesses such as the last number, with far fewer right ones (see the table).",
        _ways,
        _draw_ways,
    ),
    Figure(
        "How answers ended",
        "nearly all complete.",
        "many cut off (raise max_tokens), filtered or failed: these prompts are lost, and the loss is not random.",
        _endings,
        _draw_endings,
    ),
    Figure(
        "Seconds that an answer took",
        "a short line for every source.",
        "a long one: a few slow answers delay the whole stage, or the server got too many requests at once.",
        _latency,
        _draw_latency,
    ),
    Figure(
        "Tokens by source",
        "similar tokens per pair for all sources.",
        "a source that costs many times as much per pair as the others.",
        _spending,
        _draw_spending,
    ),
    Figure(
        "Cost by source",
        "the cost of a source is in proportion to its pairs.",
        "an expensive source with few pairs: see its cost per pair.",
        _costs,
        _draw_costs,
    ),
)
