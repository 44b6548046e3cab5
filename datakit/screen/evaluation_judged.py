"""Draws a judge's verdicts on the models under test, and how far to trust the judge."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from datakit.evaluation.table import Judging, Results, Score, Share
from datakit.screen.ink import Ink, table
from datakit.wording import counted

ENDINGS = {
    "no_answer": "no answer",
    "cut_off": "cut off",
    "no_verdict": "no verdict",
    "failed": "failed",
    "cannot_judge": "alone",
}
ALWAYS = ("no_answer", "no_verdict")
NAMES = {"win_rate": "win rate", "lc_win_rate": "LC win rate", "grade": "grade"}


def scores_of(results: Results, ink: Ink) -> RenderableType:
    """Draw one line per model, with the error in its published form if that differs."""
    compares, controls = results.metric != "grade", results.metric == "lc_win_rate"
    shown = [name for name in ENDINGS if name in ALWAYS or any(score.endings.get(name) for score in results.scores)]
    published = any(score.published for score in results.scores)
    titles = [NAMES[results.metric], "95 %", *(["raw", "95 %"] if controls else []), "as published"]
    titles += [*(["won", "tied", "lost"] if compares else []), "chars", *(["others'"] if compares else []), "n"]
    titles += [*(ENDINGS[name] for name in shown), *(["published"] if published else [])]
    drawn = table("model", *titles)
    for score in results.scores:
        judged = score.judged
        if judged is None:
            continue
        raw = [*_share(judged.raw, results.full)] if controls else []
        verdicts = [f"{n:,}" for n in (judged.wins, judged.ties, judged.losses)] if compares else []
        chars = [_chars(judged.n_chars), *([_chars(judged.n_chars_baseline)] if compares else [])]
        counts = [f"{score.endings.get(name, 0):,}" for name in shown]
        figures = [_figures(score, results.full)] if published else []
        own = _share(None if score.score is None else Share(score.score, score.low, score.high), results.full)
        drawn.add_row(
            ink.text(score.model),
            *own,
            *raw,
            _as_published(score, results.full),
            *verdicts,
            *chars,
            f"{score.n:,}",
            *counts,
            *figures,
        )
    return drawn


def remarks_of(judging: Judging, metric: str, ink: Ink) -> Iterator[Text]:
    """Print who judged, whether the figures are comparable, and the judge's biases."""
    against = "" if judging.baseline is None else f", against {judging.baseline}"
    prompt = "the published prompt" if judging.prompt_is_published else "our own prompt"
    yield ink.text(f"judge {judging.judge}, {prompt}{against}: {counted(judging.judgements, 'judgements')}", "dim")
    if not judging.is_published:
        yield ink.text("published figures have another judge, prompt or baseline, and are not comparable", "dim")
    if judging.unreadable or judging.failed:
        yield ink.text(
            f"{judging.unreadable:,} judgements without a verdict, {judging.failed:,} failed: left out, not counted as ties",
            "yellow",
        )
    if judging.first is not None:
        yield _preference("position: the judge prefers the answer that is shown first", judging.first, ink)
    if judging.longer is not None:
        yield _preference("length: the judge prefers the longer answer", judging.longer, ink)
    if metric == "lc_win_rate":
        how = "with AlpacaEval's gamed baselines and difficulties" if judging.length_control == "published" else "lengths only"
        yield ink.text(f"LC: as if the answers were as long as the baseline's ({how})", "dim")


def _preference(what: str, share: Share, ink: Ink) -> Text:
    """Return a bias as a line with its style: yellow if it is unlikely to be chance."""
    clear = share.low is not None and share.high is not None and not share.low <= 0.5 <= share.high
    value, interval = _share(share, 100.0)
    return ink.text(
        f"{what} in {value} % ({interval})" + ("" if clear else ", which may be chance"), "yellow" if clear else "dim"
    )


def _as_published(score: Score, full: float) -> str:
    judged = score.judged
    if judged is None or (judged.published_error is None and judged.published_low is None):
        return "-"
    if judged.published_error is not None:
        return f"SE {written(judged.published_error, full)}"
    return (
        "-"
        if judged.published_high is None
        else f"{written(judged.published_low, full)}..{written(judged.published_high, full)}"
    )


def _share(share: Share | None, full: float) -> tuple[str, str]:
    if share is None:
        return "-", "-"
    interval = "-" if share.low is None or share.high is None else f"{written(share.low, full)}..{written(share.high, full)}"
    return written(share.share, full), interval


def _figures(score: Score, full: float) -> str:
    marks = {True: "", False: " !", None: ""}
    return ", ".join(
        f"{written(one.score, full)}{marks[one.inside]}" + (f" ({one.protocol})" if one.protocol else "")
        for one in score.published
    )


def _chars(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def written(value: float | None, full: float) -> str:
    """Return a score as people write it: percent to a tenth, grades to a hundredth.

    >>> written(0.8537, 100.0), written(0.8537, 10.0)
    ('85.4', '8.54')
    """
    return "-" if value is None else f"{full * value:.{1 if full >= 100 else 2}f}"
