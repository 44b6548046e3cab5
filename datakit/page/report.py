"""The report in one file: the content of `datakit inspect` as a page to mail, print and archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datakit.audit.limits import said, verdict
from datakit.audit.report import Report, Source
from datakit.evaluation.table import Evaluation, Mean
from datakit.page.figure import Drawn, Subject, draw_figures, share_of, written
from datakit.page.jinja import environment
from datakit.page.plots_answers import ANSWERS
from datakit.page.plots_evaluation import EVALUATION
from datakit.page.plots_lengths import LENGTHS
from datakit.page.plots_prompts import PROMPTS
from datakit.page.plots_scores import SCORES
from datakit.tables.intervals import wilson
from datakit.wording import UNSEEN, short_names

SHOWN_CHARS = 2_000  # of a text in an example
NAME_CHARS = 40
MOST_FLIPS = 40
MOST_FAILURES = 30  # causes
PARTS = {"Prompts": PROMPTS, "Answers": ANSWERS, "Scores and margins": SCORES, "Lengths": LENGTHS}


@dataclass(frozen=True)
class Line:
    """One row of the first table: a number for every run."""

    name: str
    values: list[str]


def render_report(reports: Sequence[Report]) -> str:
    """Return the page. Several reports are shown side by side in every table and plot."""
    names = name_folders([report.run.folder for report in reports])
    models = [source.model for report in reports for source in report.sources]
    short = {model: UNSEEN.sub("?", name) for model, name in short_names(dict.fromkeys(models), NAME_CHARS).items()}
    subjects = [Subject(name, report, short) for name, report in zip(names, reports, strict=True)]
    parts, drawn = list[tuple[str, list[Drawn]]](), 0
    for title, figures in PARTS.items():
        parts.append((title, draw_figures(figures, subjects, first=drawn)))
        drawn += len(parts[-1][1])
    return (
        environment()
        .get_template("report.html")
        .render(
            subjects=subjects,
            lines=list(_lines(reports)),
            parts=parts,
            shown_chars=SHOWN_CHARS,
            most_failures=MOST_FAILURES,
            written=written,
            verdict=verdict,
            said=said,
            pass_rate=_pass_rate,
        )
    )


def render_evaluation(evaluations: Mapping[str, Evaluation]) -> str:
    """Return the page of evaluations, given by name."""
    models = [model for one in evaluations.values() for model in one.models]
    short = {model: UNSEEN.sub("?", name) for model, name in short_names(dict.fromkeys(models), NAME_CHARS).items()}
    subjects = [Subject(UNSEEN.sub("?", name), one, short) for name, one in evaluations.items()]
    return (
        environment()
        .get_template("evaluation.html")
        .render(
            subjects=subjects,
            figures=draw_figures(EVALUATION, subjects),
            means=lambda one: [_mean(mean, one.short) for mean in one.found.means],
            shown_chars=SHOWN_CHARS,
            most_flips=MOST_FLIPS,
            written=written,
        )
    )


def _mean(mean: Mean, short: Mapping[str, str]) -> Line:
    shares = (mean.score, mean.error, mean.difference, mean.difference_error)
    return Line(short.get(mean.model, mean.model), [written(share_of(share)) for share in shares])


def name_folders(folders: Sequence[str]) -> list[str]:
    """Return a name for each folder: its last part, or the whole path if two are equal."""
    last = [Path(folder).name or folder for folder in folders]
    chosen = last if len(set(last)) == len(last) else list(folders)
    return [UNSEEN.sub("?", name) for name in chosen]


def _lines(reports: Sequence[Report]) -> list[Line]:
    """Return the most important numbers, without the lines that are empty for all runs."""
    columns = [_numbers(report) for report in reports]
    lines = [Line(name, [column[name] for column in columns]) for name in columns[0]]
    return [line for line in lines if any(value != written(None) for value in line.values)]


def _numbers(report: Report) -> dict[str, str]:
    pairs, scores, lengths = report.pairs, report.scores, report.lengths
    longer = pairs.chosen_longer_share
    ends = wilson(longer, pairs.count or 0) if longer is not None else (None, None)
    numbers = {
        "pairs": report.tables.get("pairs"),
        "demos": report.tables.get("demos"),
        "prompts": report.funnel[0].prompts if report.funnel else None,
        "responses": report.current.get("responses"),
        "sources": len(report.sources),
        "chosen answer is the longer one": _rate(longer, *ends),
        "length ratio (chosen / rejected), geometric mean": pairs.length_ratio_geomean,
        "median margin": pairs.margin_median,
        "judge scores a right answer above a wrong one": (
            _rate(scores.ranking_accuracy, scores.accuracy_low, scores.accuracy_high) if scores else None
        ),
        "comparisons of a right and a wrong answer": (scores.comparisons or None) if scores else None,
        "mean characters of a demo": round(lengths.after.demo_chars) if lengths and lengths.after.demo_chars else None,
    }
    return {name: written(value) for name, value in numbers.items()}


def _rate(share: float | None, low: float | None, high: float | None) -> str | None:
    """Return a share with its interval."""
    if share is None or low is None or high is None:
        return None
    return f"{share:.1%} ({low:.1%}..{high:.1%})"


def _pass_rate(source: Source) -> str:
    """Return a share whose interval counts prompts, because answers to one prompt are correlated."""
    rate = source.pass_rate
    return written(_rate(rate, *wilson(rate, source.prompts or 0)) if rate is not None else None)
