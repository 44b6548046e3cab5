"""Flags from files: what people said about prompts, responses and pairs, for example in a spreadsheet."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from datakit.collect.formats import place_of, read_file
from datakit.collect.tally import Tally
from datakit.errors import BadInput, BadRow
from datakit.recipe import FilePrompts
from datakit.store import Flags, Run, load_sql
from datakit.tables import FLAGGED, FLAGS, TABLES, Row, Rows, Target
from datakit.wording import counted, did_you_mean

SKEW = timedelta(minutes=5)
"""The most that another machine's clock may be ahead."""
SHOWN = 3
_IDS = ("prompt_id", "response_id", "chosen_id", "rejected_id")


class Imported(NamedTuple):
    """The result of reading a file of flags, in rows."""

    read: int
    new: int
    unknown: int
    """Flags with an id that the run does not have now. They are stored: it may have the id again."""
    named: list[str]
    """The first of these ids, each with a suggestion."""


def import_flags(folder: Path, path: Path, who: str) -> Imported:
    """Add the flags of a file (JSON Lines, JSON, CSV, TSV, Parquet) to a run. `who`: for rows that do not say.

    Raise BadInput, and add none, for the first row that cannot be used.
    """
    with Run.open(folder) as run:
        tally = Tally(FilePrompts(type="file", path=str(path), on_bad_row="stop"))
        rows: Rows = []
        for where, number, row in read_file(path, str(path), tally):
            place = place_of(where, number)
            try:
                rows.append(read_flag(row, place, who))
            except BadRow as error:
                tally.drop(place, error)
        run.keep("flagged", TABLES["flags"].frame(rows))
        unknown = set(run.query(load_sql("collect/unknown_flags")).iter_rows())
        ids = [[(name, row[name]) for name in _IDS if (name, row[name]) in unknown] for row in rows]
        first = list(dict.fromkeys(chain.from_iterable(ids)))
        named = [f"{field} '{one}'{near_id(run, field, one)}" for field, one in first[:SHOWN]]
        named += [f"and {counted(len(first) - SHOWN, 'more ids')}"] if len(first) > SHOWN else []
    return Imported(len(rows), Flags(folder).add(rows), sum(map(bool, ids)), named)


def near_id(run: Run, field: str, unknown: str) -> str:
    """Return the end of a message about an id that the run lacks: the id that may be meant. `field`: the id's column."""
    hint = ""
    for other, near in run.query(load_sql("collect/near_id"), {"field": field, "id": unknown}).iter_rows():
        is_of_its_kind = (other == "prompt_id") == (field == "prompt_id")
        hint = f"; did you mean {'' if is_of_its_kind else f'the {other} '}'{near}'?"
    return hint


def read_flag(row: Row, place: str, who: str) -> Row:
    """Return a row of the table `flags` from a row with (some of) its columns.

    `target` may be left out: chosen_id and rejected_id mean a pair, a response_id means a response, else it is the prompt.
    Other columns, and ids other than those of the target, are ignored. Raise BadRow if the row cannot be used.
    """
    texts = {name: str(row[name]).strip() for name in (*_IDS, "target", "flag", "note", "who") if row.get(name) is not None}
    flag = texts.get("flag", "").lower()
    if flag not in FLAGS:
        hint = did_you_mean(flag, FLAGS) if flag else _unknown(row, "flag")
        raise BadRow(place, "flag", f" must be one of {', '.join(FLAGS)} (got {row.get('flag')!r:.60}){hint}")
    target = _target_of(texts, place)
    if lacking := [name for name in FLAGGED[target] if not texts.get(name)]:
        needed = f"a flag of a {target} has {' and '.join(FLAGGED[target])}"
        raise BadRow(place, lacking[0], f" is empty; {needed}{_unknown(row, lacking[0])}")
    note = texts.get("note") or None
    if flag == "note" and note is None:
        raise BadRow(place, "note", " is empty; a flag `note` needs a text")
    ids = {name: texts[name] if name in FLAGGED[target] else None for name in _IDS}
    return {
        "target": target,
        **ids,
        "flag": flag,
        "note": note,
        "who": texts.get("who") or who,
        "at": _time(row.get("at"), place),
    }


def _unknown(row: Row, wanted: str) -> str:
    """Return the end of a message about a missing column: the column that may be meant, or all unknown ones."""
    others = [name for name in row if name not in TABLES["flags"].schema]
    if near := difflib.get_close_matches(wanted, others, n=1):
        return f"; the column '{near[0]}' is not a column of flags: is it {wanted}?"
    return f"; unknown columns: {', '.join(others)[:100]}" if others else ""


def _target_of(texts: dict[str, str], place: str) -> Target:
    given = texts.get("target", "").lower()
    for target in FLAGGED:
        if given == target:
            return target
    if given:
        hint = f"(got {given!r:.60}){did_you_mean(given, FLAGGED)}"
        raise BadRow(place, "target", f" must be one of {', '.join(FLAGGED)}, or left out {hint}")
    if texts.get("chosen_id") and texts.get("rejected_id"):
        return "pair"
    return "response" if texts.get("response_id") else "prompt"


def _time(value: object, place: str) -> datetime | None:
    """Return the time in UTC, which is assumed if no zone is given; None for the current time."""
    if value is None or value == "":
        return None
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise BadRow(place, "at", f" must be a time like 2026-01-31T12:00:00Z, or left out (got {value!r:.60})") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if at > datetime.now(UTC) + SKEW:
        raise BadRow(place, "at", f" is in the future ({at.isoformat()}); correct the time: the latest flag counts")
    return at


def export_flags(folder: Path, path: Path) -> int:
    """Write all flags of a run as .jsonl or .csv, in the format of import_flags; return how many."""
    if path.suffix not in (".jsonl", ".csv"):
        raise BadInput(f"--export {path}: end it with .jsonl or .csv")
    with Run.open(folder) as run:
        frame = run.query('SELECT * REPLACE (strftime("at", \'%Y-%m-%dT%H:%M:%S.%fZ\') AS "at") FROM flags ORDER BY "at"')
    try:
        frame.write_csv(path) if path.suffix == ".csv" else frame.write_ndjson(path)
    except OSError as error:
        raise BadInput(f"--export {path}: cannot be written ({error.strerror or error})") from error
    return frame.height
