"""Plots of what becomes of prompts on the way to pairs and demos."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import altair as alt

from datakit.audit.report import Report
from datakit.audit.words import SERVES, name_steps
from datakit.page.figure import Figure, Percent, Subject
from datakit.page.svg import ACCENT, GOOD, Chart, Grid, Row, cells

MOST_SOURCES = 12  # by name; the others are shown together
OTHERS = "other sources"
Run = Subject[Report]


def named(run: Run, model: str | None) -> str:
    """Return a source's name on the page; those beyond the largest MOST_SOURCES share one."""
    if model is None:
        return "all sources"
    largest = sorted(run.found.sources, key=lambda source: -(source.responses or source.pairs or 0))[:MOST_SOURCES]
    known = len(run.found.sources) <= MOST_SOURCES or any(source.model == model for source in largest)
    return run.short.get(model, model) if known else OTHERS


def sources_of(rows: list[Row]) -> list[str]:
    """Return the sources in the order of the rows, the others last."""
    names = dict.fromkeys(row["source"] for row in rows)
    return [name for name in names if name != OTHERS] + [name for name in names if name == OTHERS]


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
    room = alt.Scale(domain=[0, 2 * max(1, *(row["prompts"] for row in rows))])  # the right half is for text
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
    return cells(rows, grid, "step", "source", steps, sources_of(rows))


def _matrix(run: Run) -> list[Row]:
    counted = Counter[tuple[str, str]]()
    for one in run.found.plotted.matrix if run.found.plotted else []:
        counted[named(run, one.model), named(run, one.rejected_model)] += one.pairs
    whole = counted.total()
    if all(chosen == rejected for chosen, rejected in counted):
        return []  # pairs of one source: the shares above show it
    return [
        {"source": chosen, "rejected source": rejected, "pairs": count, "share": Percent(count / whole)}
        for (chosen, rejected), count in counted.items()
    ]


def _draw_matrix(rows: list[Row], grid: Grid) -> Chart:
    across = list(dict.fromkeys(row["rejected source"] for row in sorted(rows, key=lambda row: row["rejected source"])))
    return cells(rows, grid, "rejected source", "source", across, sources_of(rows))


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


PROMPTS: tuple[Figure[Report], ...] = (
    Figure(
        "From prompts to pairs",
        "small steps: the last bar is most of the first.",
        "one step that loses half; the table has its reasons.",
        _funnel,
        _draw_funnel,
    ),
    Figure(
        "What curation met",
        "few prompts match a benchmark.",
        "a reason that drops a large share, which then shapes the data.",
        _curated,
        _draw_curated,
    ),
    Figure(
        "How near the kept prompts are to a benchmark",
        "all in the first bar, without a match.",
        "bars on the right, close to where prompts are dropped: read some of them.",
        _nearest,
        _draw_nearest,
    ),
    Figure(
        "Whose answers each step keeps",
        "a row changes little from left to right.",
        "one source fills pairs or demos, so the target learns its style.",
        _shares,
        _draw_shares,
    ),
    Figure(
        "Chosen by rejected source",
        "pairs spread over many cells: good and bad answers of all sources.",
        "one strong source chosen over one weak one: DPO then learns to tell these two apart.",
        _matrix,
        _draw_matrix,
    ),
)
