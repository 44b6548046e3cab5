"""Plots of what becomes of prompts and answers on the way to pairs and demos."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import altair as alt

from datakit.audit.plotted import Solved
from datakit.audit.report import Report
from datakit.audit.words import SERVES, name_steps
from datakit.evaluation.statistics import pass_at_k
from datakit.page.figure import Figure, Percent, Subject
from datakit.page.svg import ACCENT, DIM, GOOD, Chart, Grid, Row, cells

MOST_SOURCES = 12  # by name; the others stand together
KINDS = (
    *("right", "wrong answer", "assertion", "exception", "syntax", "static analysis", "memory", "timeout"),
    *("no answer", "cut off", "cannot judge", "no verdict"),
)
STEPS = ("responses", "right", "candidates", "pairs", "demos")
SOLVED = ("never", "at most half", "more than half", "always")
OTHERS = "other sources"
Run = Subject[Report]


def named(run: Run, model: str | None) -> str:
    """A source as the page calls it; those beyond the largest MOST_SOURCES are one."""
    if model is None:
        return "all sources"
    largest = sorted(run.found.sources, key=lambda source: -(source.responses or source.pairs or 0))[:MOST_SOURCES]
    known = len(run.found.sources) <= MOST_SOURCES or any(source.model == model for source in largest)
    return run.short.get(model, model) if known else OTHERS


def _funnel(run: Run) -> list[Row]:
    report, names = run.found, name_steps(run.found)
    read = report.funnel[0].prompts if report.funnel else 0
    rows = []
    for step in report.funnel:
        lost = [f"{loss.prompts:,} {loss.reason}" for loss in step.lost if loss.reason != SERVES]
        serve = sum(loss.prompts for loss in step.lost if loss.reason == SERVES)
        more = [f"{len(lost) - 2} more"] * (len(lost) > 2)
        told = [f"lost: {', '.join(lost[:2] + more)}"] * bool(lost) + [f"to SFT: {serve:,}"] * bool(serve)
        rows.append(
            {
                "step": names[step.step],
                "prompts": step.prompts,
                "of all": Percent(step.prompts / read) if read else None,
                "lost before it": ", ".join(lost),
                "to SFT": serve,
                "_told": ". ".join([f"{step.prompts:,}", *told]),
                "_count": f"{step.prompts:,}",
                "_place": list(names).index(step.step),
            }
        )
    return rows


def _draw_funnel(rows: list[Row], grid: Grid) -> Chart:
    steps = list(dict.fromkeys(row["step"] for row in sorted(rows, key=lambda row: row["_place"])))
    room = alt.Scale(domain=[0, 2 * max(1, *(row["prompts"] for row in rows))])  # the right half is for words
    drawn = alt.Chart().encode(
        y=alt.Y("step:N", sort=steps, title=None, axis=alt.Axis(domain=False, ticks=False)),
        x=alt.X("prompts:Q", scale=room, axis=None),
    )
    told = drawn.mark_text(align="left", dx=4, limit=700).encode(text=f"{'_count' if grid.several else '_told'}:N")
    return grid.draw(rows, drawn.mark_bar(color=ACCENT), told, height=28 * len(steps), width=900)


def _shares(run: Run) -> list[Row]:
    plotted = run.found.plotted
    if plotted is not None:
        counted = [(share.step, share.model, share.count) for share in plotted.shares]
    else:
        counted = [(step, one.model, getattr(one, step) or 0) for step in ("pairs", "demos") for one in run.found.sources]
    wholes, parts = Counter[str](), Counter[tuple[str, str]]()
    for step, model, count in counted:
        wholes[step] += count
        parts[named(run, model), step] += count
    return [
        {"source": source, "step": step, "count": count, "share": Percent(count / wholes[step])}
        for (source, step), count in parts.items()
        if wholes[step]
    ]


def _draw_shares(rows: list[Row], grid: Grid) -> Chart:
    steps = [
        step for step in ("responses", "right", "candidates", "pairs", "demos") if any(row["step"] == step for row in rows)
    ]
    return cells(rows, grid, "step", "source", steps, _sources(rows))


def _kinds(run: Run) -> list[Row]:
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
        }
        for source in wholes
        for kind in KINDS
        if counted[source, kind]
    ]


def _draw_kinds(rows: list[Row], grid: Grid) -> Chart:
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    return cells(rows, grid, "kind", "source", kinds, _sources(rows))


def _matrix(run: Run) -> list[Row]:
    counted = Counter[tuple[str, str]]()
    for one in run.found.plotted.matrix if run.found.plotted else []:
        counted[named(run, one.model), named(run, one.rejected_model)] += one.pairs
    whole = counted.total()
    if all(chosen == rejected for chosen, rejected in counted):
        return []  # pairs of one source: the shares above say it
    return [
        {"source": chosen, "rejected source": rejected, "pairs": count, "share": Percent(count / whole)}
        for (chosen, rejected), count in counted.items()
    ]


def _draw_matrix(rows: list[Row], grid: Grid) -> Chart:
    across = list(dict.fromkeys(row["rejected source"] for row in sorted(rows, key=lambda row: row["rejected source"])))
    return cells(rows, grid, "rejected source", "source", across, _sources(rows))


def _solved(run: Run) -> list[Row]:
    """How many prompts a source solves never, sometimes, and always."""
    counted = {source: Counter[str]() for source in dict.fromkeys(named(run, one.model) for one in _solves(run))}
    for one in _solves(run):
        how = (
            "never" if not one.passed else "always" if one.passed == one.answers else SOLVED[1 + (2 * one.passed > one.answers)]
        )
        counted[named(run, one.model)][how] += one.prompts
    return [
        {"source": source, "right": how, "prompts": counts[how], "share": Percent(counts[how] / counts.total())}
        for source, counts in counted.items()
        for how in SOLVED
    ]


def _draw_solved(rows: list[Row], grid: Grid) -> Chart:
    return cells(rows, grid, "right", "source", list(SOLVED), _sources(rows))


def _solves(run: Run) -> list[Solved]:
    return run.found.plotted.solved if run.found.plotted else []


def _pass_at_k(run: Run) -> list[Row]:
    """Unbiased, over the prompts with as many answers as the most have; the interval is the mean's, over prompts."""
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
            ends = (Percent(max(0.0, mean - 1.96 * error)), Percent(min(1.0, mean + 1.96 * error)))
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


def _ways(run: Run) -> list[Row]:
    passed, failed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for one in run.found.plotted.ways if run.found.plotted else []:
        passed[named(run, one.model), one.way] += one.passed
        failed[named(run, one.model), one.way] += one.failed
    found = passed + failed
    wholes = Counter[str]()
    for (source, _), count in found.items():
        wholes[source] += count
    return [
        {
            "source": source,
            "way": way,
            "answers": count,
            "share": Percent(count / wholes[source]),
            "right of these": Percent(passed[source, way] / count),
        }
        for (source, way), count in found.items()
    ]


def _draw_ways(rows: list[Row], grid: Grid) -> Chart:
    frequent = Counter[str]()
    for row in rows:
        frequent[row["way"]] += row["answers"]
    ways = [way for way, _ in frequent.most_common(8)]
    return cells([row for row in rows if row["way"] in ways], grid, "way", "source", ways, _sources(rows))


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
    sources = _sources(rows)
    bars = alt.Chart().mark_bar()
    bars = bars.encode(y=alt.Y("source:N", sort=sources, title=None), x=alt.X("tokens:Q", title="tokens"), color=colour)
    return grid.draw(tall, bars, height=28 * len(sources))


def _nearest(run: Run) -> list[Row]:
    nearest = run.found.curation.nearest if run.found.curation else None
    if nearest is None:
        return []
    return [
        {"share from": low, "share to": high, "prompts": count}
        for (low, high), count in zip(pairwise(nearest.edges), nearest.counts, strict=True)
    ]


def _draw_nearest(rows: list[Row], grid: Grid) -> Chart:
    drawn = alt.Chart().encode(x=alt.X("share from:Q", title="share of the nearest item's words"), x2="share to")
    bars = drawn.mark_rect(color=ACCENT)
    bars = bars.encode(y=alt.Y("prompts:Q", scale=alt.Scale(type="symlog"), title="kept prompts"), y2=alt.datum(0))
    return grid.draw(rows, bars, height=180)


def _curated(run: Run) -> list[Row]:
    curation = run.found.curation
    if curation is None:
        return []
    reasons = [("dropped", one) for one in curation.reasons] + [("kept, and said", one) for one in curation.noted]
    return [{"reason": one.reason, "prompts": one.prompts, "these are": what} for what, one in reasons]


def _draw_curated(rows: list[Row], grid: Grid) -> Chart:
    reasons = list(dict.fromkeys(row["reason"] for row in rows))
    colour = alt.Color(
        "these are:N", scale=alt.Scale(domain=["dropped", "kept, and said"], range=[ACCENT, GOOD]), title="prompts"
    )
    bars = alt.Chart().mark_bar()
    bars = bars.encode(y=alt.Y("reason:N", sort=reasons, title=None), x=alt.X("prompts:Q", title="prompts"), color=colour)
    return grid.draw(rows, bars, height=26 * len(reasons))


def _sources(rows: list[Row]) -> list[str]:
    """In the order of the rows, the others last."""
    names = dict.fromkeys(row["source"] for row in rows)
    return [name for name in names if name != OTHERS] + [name for name in names if name == OTHERS]


PROMPTS: tuple[Figure[Report], ...] = (
    Figure(
        "From prompts to pairs",
        "a gentle stair whose last bar is most of the first.",
        "one step that loses half; its reasons stand in the table.",
        _funnel,
        _draw_funnel,
    ),
    Figure(
        "What curation met",
        "few prompts met a benchmark.",
        "a reason that drops a large share, which then decides what the data is.",
        _curated,
        _draw_curated,
    ),
    Figure(
        "How near the kept prompts come to a benchmark",
        "all in the first bar, which met nothing.",
        "bars on the right, close to where prompts are dropped: read some of them.",
        _nearest,
        _draw_nearest,
    ),
    Figure(
        "Whose answers each step keeps",
        "a row changes little from left to right.",
        "one source fills pairs or demos, so that the target learns its style.",
        _shares,
        _draw_shares,
    ),
    Figure(
        "Chosen by rejected source",
        "pairs spread over many cells: good and bad answers of all sources.",
        "one strong source chosen against one weak one: DPO then learns to tell these two apart.",
        _matrix,
        _draw_matrix,
    ),
    Figure(
        "How often prompts are solved",
        "most prompts in the middle: solved by some answers, so that they give pairs.",
        "most at one end: too easy or too hard for the source, and no pair comes from them.",
        _solved,
        _draw_solved,
    ),
    Figure(
        "pass@k by source",
        "a line that rises: more answers a prompt find right ones.",
        "a flat line: more answers are the same ones, so raise the temperature and not n.",
        _pass_at_k,
        _draw_pass_at_k,
    ),
    Figure(
        "What the verifier found",
        "right, and wrong in the way of the task.",
        "much that has no answer, was cut off or cannot be judged: that is lost.",
        _kinds,
        _draw_kinds,
    ),
    Figure(
        "How answers were found in the texts",
        "nearly all by one sure way.",
        "guesses such as the last number, with far fewer right ones (see the table).",
        _ways,
        _draw_ways,
    ),
    Figure(
        "Tokens by source",
        "the tokens of a pair are alike for all sources.",
        "a source that costs many times as much a pair as the others.",
        _spending,
        _draw_spending,
    ),
)
