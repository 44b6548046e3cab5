"""The report in one file: what `datakit inspect` found, as a page that can be mailed, printed and archived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datakit.audit.report import Limit, Report
from datakit.page.figure import Subject, draw_figures, share_of, written
from datakit.page.jinja import environment
from datakit.page.plots_prompts import PROMPTS
from datakit.page.plots_scores import SCORES
from datakit.wording import UNSEEN, short_names

SHOWN_CHARS = 2_000  # of a text in an example


@dataclass(frozen=True)
class Line:
    """One row of the table that stands first: a number of every run."""

    name: str
    values: list[str]


def render_report(reports: Sequence[Report]) -> str:
    """The page. Several reports stand side by side in every table and plot."""
    names = _names(reports)
    models = [source.model for report in reports for source in report.sources]
    short = {model: UNSEEN.sub("?", name) for model, name in short_names(dict.fromkeys(models), 40).items()}
    subjects = [Subject(name, report, short) for name, report in zip(names, reports, strict=True)]
    prompts = draw_figures(PROMPTS, subjects)
    scores = draw_figures(SCORES, subjects, first=len(prompts))
    return (
        environment()
        .get_template("report.html")
        .render(
            subjects=subjects,
            lines=list(_lines(reports)),
            parts=[("Prompts and sources", prompts), ("Scores and pairs", scores)],
            shown_chars=SHOWN_CHARS,
            written=written,
            limit=_limit,
        )
    )


def _names(reports: Sequence[Report]) -> list[str]:
    """What each run is called: its folder's name, the whole path where two have the same one."""
    paths = [Path(report.run.folder) for report in reports]
    last = [path.name or str(path) for path in paths]
    chosen = last if len(set(last)) == len(last) else [str(path) for path in paths]
    return [UNSEEN.sub("?", name) for name in chosen]


def _lines(reports: Sequence[Report]) -> list[Line]:
    """What one would want to know first; without the lines that nobody has a number for."""
    columns = [_numbers(report) for report in reports]
    lines = [Line(name, [written(column[name]) for column in columns]) for name in columns[0]]
    return [line for line in lines if any(value != written(None) for value in line.values)]


def _numbers(report: Report) -> dict[str, float | None]:
    pairs, scores = report.pairs, report.scores
    return {
        "pairs": report.tables.get("pairs"),
        "demos": report.tables.get("demos"),
        "prompts": report.funnel[0].prompts if report.funnel else None,
        "responses": report.current.get("responses"),
        "sources": len(report.sources),
        "chosen answer is the longer one": share_of(pairs.chosen_longer_share),
        "length ratio (chosen / rejected), geometric mean": pairs.length_ratio_geomean,
        "median margin": pairs.margin_median,
        "judge scores a right answer above a wrong one": share_of(scores.ranking_accuracy) if scores else None,
        "comparisons of a right and a wrong answer": scores.comparisons if scores else None,
    }


def _limit(limit: Limit) -> str:
    return f"{'at least' if limit.name.startswith('min_') else 'at most'} {written(limit.limit)}"
