"""Draws what became of a prompt: its answers in one table, each with the rule that left it out."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datakit.audit.lineage import Lineage
from datakit.screen.ink import Ink, room, table
from datakit.tables import Row
from datakit.wording import counted, decimal, number, share, short_names, shorten

SHOWN_CHARS = 1_200  # of the prompt and of its reference
STYLES = {"chosen": "green", "rejected": "red", "demo": "green"}


def draw_lineage(lineage: Lineage, console: Console, texts: bool) -> None:
    """Print a lineage. `texts`: also print every answer in full."""
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
    models = list(dict.fromkeys(answer["model"] for answer in lineage.answers))
    answers = [_answers(lineage, dict.fromkeys(models, ""), ink)] if models else []
    names = short_names(models, room(console, answers))
    sections = {
        "Met": [ink.text(_met(met)) for met in lineage.overlaps],
        "Answers": [_answers(lineage, names, ink)] if lineage.answers else [Text("none", style="dim")],
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


def _answers(lineage: Lineage, names: dict[str, str], ink: Ink) -> Table:
    """Return a table with one row per answer; empty columns are left out."""
    judges = sorted({judge for answer in lineage.answers for judge in answer["by_judge"]})
    columns: dict[str, list[Text]] = {"source": [], "what became of it": []}
    for answer in lineage.answers:
        values = {
            "outcome": answer["outcome"],
            "extracted": shorten(answer["verdict"].get("extracted") or "", 24) or None,
            "score": None if answer["score"] is None else decimal(answer["score"]),
            **{judge: decimal(answer["by_judge"].get(judge)) for judge in judges},
            "chars": None if answer["n_chars"] is None else number(answer["n_chars"]),
            "tokens": None if answer["n_tokens"] is None else number(answer["n_tokens"]),
            "sample": answer.get("sample_index"),
            "seed": answer.get("seed"),
            "ended": answer["finish_reason"],
        }
        columns["source"].append(ink.text(names[answer["model"]]))
        columns["what became of it"].append(ink.text(answer["fate"], STYLES.get(answer["fate"], "")))
        for name, value in values.items():
            columns.setdefault(name, []).append(ink.text("-" if value is None else value))
    shown = {name: cells for name, cells in columns.items() if any(cell.plain != "-" for cell in cells)}
    drawn = table(*shown)
    drawn.columns[1].justify = "left"
    for row in zip(*shown.values(), strict=True):
        drawn.add_row(*row)
    return drawn


def _texts(lineage: Lineage, ink: Ink) -> Iterator[RenderableType]:
    for answer in lineage.answers:
        yield ink.text(f"{answer['model']}, sample {answer.get('sample_index')}: {answer['fate']}", "bold")
        if answer.get("reasoning"):
            yield ink.text(answer["reasoning"], "dim")
        yield ink.text(answer.get("text") or "")


def _candidate(row: Row) -> str:
    models = " against ".join(dict.fromkeys(filter(None, (row["model"], row["rejected_model"]))))
    return f"{models or 'no model'}: {'A pair. ' if row['lost'] is None else ''}{row['why']}"


def _met(row: Row) -> str:
    common = "" if row["share"] is None else f", {share(row['share'])} in common"
    return f"{row['reason']}: {row['met']}{common}: {shorten(row['text'] or '', 200)}"


def _failure(row: Row) -> str:
    tried = f"{counted(row['attempts'], 'attempts')}{', permanent' if row['permanent'] else ''}"
    return f"{row['stage']}, {row['source']}: {row['error']} ({tried}) {row['message'] or ''}"


def _flag(row: Row) -> str:
    note = f": {row['note']}" if row["note"] else ""
    return f"{row['flag']} ({row['target']}){note}, by {row['who']}, {row['at']:%Y-%m-%d %H:%M} UTC"
