"""Draws what became of a prompt: its answers in one table, each with the rule that it was lost to."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datakit.audit.browsing import Lineage
from datakit.screen.ink import Ink, table
from datakit.tables import Row
from datakit.wording import decimal, number, share, short_names, shorten

SHOWN_CHARS = 1_200  # of the prompt, and of its reference
STYLES = {"chosen": "green", "rejected": "red", "demo": "green"}


def draw_lineage(lineage: Lineage, console: Console, texts: bool) -> None:
    """Print it. `texts`: also every answer, whole."""
    ink = Ink(console.options.ascii_only)
    prompt = lineage.prompt
    console.print(ink.text(prompt["prompt_id"], "bold"))
    for turn in prompt["messages"] or []:
        content = turn["content"] if texts else shorten(turn["content"], SHOWN_CHARS)
        console.print(Padding(ink.text(content), (0, 0, 0, 2), expand=False))
    if prompt["reference"] is not None:
        console.print(Text("reference", style="bold"))
        console.print(Padding(ink.text(shorten(prompt["reference"], SHOWN_CHARS)), (0, 0, 0, 2), expand=False))
    if prompt["dropped"]:
        console.print(ink.text(f"dropped: {prompt['dropped']}", "bold red"))
    sections = {
        "Met": [ink.text(_met(met)) for met in lineage.overlaps],
        "Answers": [_answers(lineage, ink)] if lineage.answers else [Text("none", style="dim")],
        "Candidates": [ink.text(_candidate(one)) for one in lineage.candidates],
        "Failures": [ink.text(_failure(failure)) for failure in lineage.failures],
        "Flags": [ink.text(_flag(flag), "yellow") for flag in lineage.flags],
        "Texts": list(_texts(lineage, ink)) if texts else [],
    }
    for title, parts in sections.items():
        if parts:
            console.print(Text("\n" + title, style="bold"))
        for part in parts:
            console.print(Padding(part, (0, 0, 0, 2), expand=False))


def _answers(lineage: Lineage, ink: Ink) -> Table:
    names = short_names({answer["model"] for answer in lineage.answers})
    verified = any(answer["outcome"] for answer in lineage.answers)
    judges = sorted({judge for answer in lineage.answers for judge in answer["by_judge"]})
    outcome = ["outcome", "extracted"] if verified else []
    drawn = table("source", "what became of it", *outcome, "score", *judges, "chars", "tokens", "sample", "seed", "ended")
    drawn.columns[1].justify = "left"
    for answer in lineage.answers:
        verdict = [answer["outcome"] or "-", shorten(answer["verdict"].get("extracted") or "", 24)] if verified else []
        drawn.add_row(
            ink.text(names[answer["model"]]),
            ink.text(answer["fate"], STYLES.get(answer["fate"], "")),
            *(ink.text(value) for value in verdict),
            decimal(answer["score"]),
            *(decimal(answer["by_judge"].get(judge)) for judge in judges),
            number(answer["n_chars"]),
            number(answer["n_tokens"]),
            str(answer.get("sample_index", "-")),
            "-" if answer.get("seed") is None else str(answer["seed"]),
            ink.text(answer["finish_reason"] or "-"),
        )
    return drawn


def _texts(lineage: Lineage, ink: Ink) -> Iterator[RenderableType]:
    for answer in lineage.answers:
        yield ink.text(f"{answer['model']}, sample {answer.get('sample_index')}: {answer['fate']}", "bold")
        if answer.get("reasoning"):
            yield ink.text(answer["reasoning"], "dim")
        yield ink.text(answer.get("text") or "")


def _candidate(row: Row) -> str:
    models = " against ".join(dict.fromkeys(filter(None, (row["model"], row["rejected_model"]))))
    margin = "" if row["margin"] is None else f", margin {decimal(row['margin'])}"
    return f"{models}{margin}: {row['lost'] or 'a pair'}"


def _met(row: Row) -> str:
    common = "" if row["share"] is None else f", {share(row['share'])} in common"
    return f"{row['reason']}: {row['met']}{common}: {shorten(row['text'] or '', 200)}"


def _failure(row: Row) -> str:
    tried = f"{row['attempts']} attempts{', for good' if row['permanent'] else ''}"
    return f"{row['stage']}, {row['source']}: {row['error']} ({tried}) {row['message'] or ''}"


def _flag(row: Row) -> str:
    note = f": {row['note']}" if row["note"] else ""
    return f"{row['flag']} ({row['target']}){note}, by {row['who']}, {row['at']:%Y-%m-%d %H:%M} UTC"
