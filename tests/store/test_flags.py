"""Flags are added while others hold the run, are there whole or not at all, and only the last of a target and person counts."""

import json
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.errors import RunError
from datakit.store import Flags, Run
from datakit.store.flags import JOURNAL
from datakit.tables import FLAGS
from tests.helpers.folders import ROOT
from tests.select.test_rule import in_memory

AT = datetime(2026, 1, 1, tzinfo=UTC)


def flag(word, response="r", who="ann", note=None, at=None):
    return {"target": "response", "response_id": response, "flag": word, "note": note, "who": who, "at": at}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "recipe.json").write_text("{}", encoding="utf-8")
    return tmp_path


def standing(folder):
    with Run.open(folder) as run:
        return run.query('SELECT who, flag, note, decides FROM current_flags ORDER BY "at"').rows()


def test_flags_are_added_while_a_build_holds_the_run_and_the_build_leaves_their_file_alone(folder):
    flags = Flags(folder)
    flags.add([flag("exclude", "before")])
    with Run.create(folder) as build:
        assert build.query("SELECT count(*) FROM flags").item() == 1
        flags.add([flag("exclude", "during")])
        assert build.query("SELECT count(*) FROM flags").item() == 1  # what it sees is of one moment
        build.look_again()
        assert build.query("SELECT count(*) FROM flags").item() == 2
    with Run.create(folder):
        flags.add([flag("exclude", "again")])
    assert [row["response_id"] for row in flags.rows()] == ["before", "during", "again"]
    assert [path.name for path in (folder / "flags").glob("journal-*")] == [JOURNAL]


def test_several_processes_add_at_once_and_none_is_lost(folder):
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from datakit.store import Flags

        flags = Flags(Path(sys.argv[1]))
        for at in range(40):
            row = {"target": "prompt", "prompt_id": f"{sys.argv[2]}/{at}", "flag": "note", "note": "x" * 3000}
            flags.add([{**row, "who": sys.argv[2]}])
        """
    )
    command = [sys.executable, "-c", program, str(folder)]
    writers = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("ann", "bob")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert {row["prompt_id"] for row in Flags(folder).rows()} == {f"{who}/{at}" for who in ("ann", "bob") for at in range(40)}


@pytest.mark.parametrize("torn", ['[{"target": "resp', '[{"target": "response"}]'])
def test_after_a_kill_in_the_middle_of_a_line_the_next_flag_is_a_line_of_its_own(folder, torn):
    flags = Flags(folder)
    flags.add([flag("exclude", "whole")])
    with (folder / "flags" / JOURNAL).open("a", encoding="utf-8") as file:
        file.write(torn)
    flags.add([flag("keep", "next")])
    assert [row["response_id"] for row in flags.rows()] == ["whole", "next"]


def test_a_flag_that_is_there_already_is_not_repeated(folder):
    flags = Flags(folder)
    rows = [flag("exclude", at=AT), flag("exclude", at=AT), flag("exclude", at=AT + timedelta(seconds=1))]
    assert flags.add(rows) == 2
    assert flags.add(rows) == 0
    assert flags.add([flag("exclude"), flag("clear")]) == 2  # of now, one after the other
    assert standing(folder) == []


def test_a_folder_that_may_not_be_written_to(folder):
    (folder / "flags").write_text("a file", encoding="utf-8")
    with pytest.raises(RunError, match="cannot write"):
        Flags(folder).add([flag("keep")])


def test_each_person_s_last_word_stands_and_of_all_the_last_exclude_or_keep_decides(folder):
    flags = Flags(folder)
    flags.add([flag("exclude", note="wrong unit"), flag("keep", who="bob"), flag("note", who="eve", note="see bob")])
    assert standing(folder) == [
        ("ann", "exclude", "wrong unit", False),
        ("bob", "keep", None, True),
        ("eve", "note", "see bob", False),
    ]
    flags.add([flag("clear", who="bob")])
    assert standing(folder) == [("ann", "exclude", "wrong unit", True), ("eve", "note", "see bob", False)]
    flags.add([flag("note", note="not sure")])  # the last of a person counts, whatever it says
    assert [row[1:] for row in standing(folder) if row[0] == "ann"] == [("note", "not sure", False)]


moments = st.integers(0, 3).map(lambda second: AT + timedelta(seconds=second))
said = st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["ann", "bob"]), st.sampled_from(FLAGS), moments)


@given(st.lists(said, max_size=8))
def test_what_stands_is_what_a_slow_reading_says(rows):
    """The rule once more: the last word of each person, of these the last that decides; of one moment exclude goes first."""
    last, words = {}, {}
    for prompt, who, word, at in sorted(set(rows), key=lambda row: (row[3], row[2] == "exclude", -FLAGS.index(row[2]))):
        last[prompt, who] = (word, at)
    for (prompt, who), (word, at) in last.items():
        if word in ("exclude", "keep"):
            words.setdefault(prompt, []).append((at, word == "exclude", word, who))
    excluded = {prompt for prompt, heard in words.items() if max(heard, key=lambda one: one[:2])[2] == "exclude"}
    table = [{"target": "prompt", "prompt_id": p, "who": who, "flag": word, "note": "", "at": at} for p, who, word, at in rows]
    in_memory().fill({"flags": table})
    found = in_memory().query("SELECT prompt_id FROM current_flags WHERE decides AND flag = 'exclude'")
    in_memory().fill({"flags": []})
    assert set(found["prompt_id"]) == excluded


def test_the_journal_is_plain_json_lines(folder):
    Flags(folder).add([flag("exclude", note="数学 \u202e\n", at=AT)])
    [line] = (folder / "flags" / JOURNAL).read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == [
        {
            "target": "response",
            "response_id": "r",
            "flag": "exclude",
            "note": "数学 \u202e\n",
            "who": "ann",
            "at": "2026-01-01T00:00:00Z",
        }
    ]
