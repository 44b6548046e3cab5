"""Flags from files: what people said of prompts, responses and pairs, also in a spreadsheet."""

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
"""How far the clock of another machine may be ahead."""
SHOWN = 3
_IDS = ("prompt_id", "response_id", "chosen_id", "rejected_id")


class Imported(NamedTuple):
    """What a file of flags gave."""

    read: int
    new: int
    unknown: int
    """Those that name an id which the run does not have now. They stay: it may have it again."""
    named: list[str]
    """The first of these ids, each with the one that may be meant."""


def import_flags(folder: Path, path: Path, who: str) -> Imported:
    """Add the flags of a file (JSON Lines, JSON, CSV, TSV, Parquet) to a run. `who`: of rows that do not say.

    BadInput names the first row that cannot be used; then none is added.
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
    """The end of a sentence about an id that the run does not have, where one may be meant. `field`: what it stands for."""
    hint = ""
    for other, near in run.query(load_sql("collect/near_id"), {"field": field, "id": unknown}).iter_rows():
        is_of_its_kind = (other == "prompt_id") == (field == "prompt_id")
        hint = f"; did you mean {'' if is_of_its_kind else f'the {other} '}'{near}'?"
    return hint


def read_flag(row: Row, place: str, who: str) -> Row:
    """A row of the table `flags`, of one with (some of) its columns.

    `target` may be left out: chosen_id and rejected_id are a pair's, a response_id is a response's, else it is the prompt's.
    Other columns, and ids beside those of the target, are for the reader. BadRow where it cannot be used.
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
        raise BadRow(place, "note", " is empty; a flag `note` says something")
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
    """The end of a sentence about a column that is not there: one with another name that may be meant, or all others."""
    others = [name for name in row if name not in TABLES["flags"].schema]
    if near := difflib.get_close_matches(wanted, others, n=1):
        return f"; the column '{near[0]}' is none of ours: is it {wanted}?"
    return f"; not known are the columns {', '.join(others)[:100]}" if others else ""


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
    """In UTC, which is meant where no zone is said; None for now."""
    if value is None or value == "":
        return None
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise BadRow(place, "at", f" must be a time like 2026-01-31T12:00:00Z, or left out (got {value!r:.60})") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if at > datetime.now(UTC) + SKEW:
        raise BadRow(place, "at", f" is in the future ({at.isoformat()}), and the last flag counts; mend it")
    return at


def export_flags(folder: Path, path: Path) -> int:
    """Write all flags of a run as .jsonl or .csv, as import_flags reads them; returns how many."""
    if path.suffix not in (".jsonl", ".csv"):
        raise BadInput(f"--export {path}: end it with .jsonl or .csv")
    with Run.open(folder) as run:
        frame = run.query('SELECT * REPLACE (strftime("at", \'%Y-%m-%dT%H:%M:%S.%fZ\') AS "at") FROM flags ORDER BY "at"')
    try:
        frame.write_csv(path) if path.suffix == ".csv" else frame.write_ndjson(path)
    except OSError as error:
        raise BadInput(f"--export {path}: cannot be written ({error.strerror or error})") from error
    return frame.height
