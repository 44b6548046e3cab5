"""The store's promises: what was acknowledged is there once, whatever killed the writer; what cannot be read says so."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, datetime
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pyarrow import parquet

from datakit.errors import BadInput, RecipeError, RunError
from datakit.recipe import digest as recipe_digest
from datakit.recipe import parse
from datakit.store import Run, load_sql
from datakit.tables import (
    TABLES,
    Messages,
    Row,
    Rows,
    canonical_json,
    digest,
    digest_of_messages,
    fingerprint,
    make_response_id,
    make_seed,
)
from datakit.tables.compared import compared
from datakit.tables.ids import ID_LENGTH
from tests.helpers.folders import ROOT
from tests.helpers.forked import Forked

SQL = ROOT / "datakit" / "sql"
ODD = "\0 é 数学 😀 \u2028 \x1f \\ \" ' \r\n\t"
AT = datetime(2024, 2, 29, 12, 30, 0, 123456, tzinfo=UTC)

# One full row and one row of nulls for every table: text with everything that a text can hold, lists, structs, numbers, times.
SAMPLES: dict[str, dict[str, Any]] = {
    "prompts": {"prompt_id": ODD, "messages": [{"role": "system", "content": ""}, {"role": "user", "content": ODD}]},
    "sources": {"model": ODD, "revision": None, "sampling": '{"temperature":0.8}', "type": "endpoint", "n": 5},
    "overlaps": {"prompt_id": ODD, "reason": "contaminated: x", "met": ODD, "share": 1 / 3, "text": ODD},
    "judges": {"judge": "j@1", "type": "armorm"},
    "notes": {"things": "rows", "what": ODD, "n": 2**40, "first": ""},
    "responses": {"response_id": ODD, "text": ODD, "sample_index": 2**62, "seed": 2**31 - 1, "latency_s": 0.1 + 0.2,
                  "messages_digest": "d", "n_chars": compared(ODD)[0], "text_hash": compared(ODD)[1]},
    "verdicts": {"response_id": "r", "verifier": "v@1", "reference_digest": "", "outcome": "passed", "duration_s": 1e-9},
    "scores": {"response_id": "r", "judge": "j@1", "score": -0.0, "objectives": [0.5, inf, -inf, 1e300]},
    "judgements": {"judgement_id": "g", "judge": "j@1", "first_id": "a", "second_id": None, "value": 1 / 3, "text": ODD},
    "demos": {"prompt_id": "p", "response_id": "r", "score": None},
    "pairs": {"prompt_id": "p", "model": "m", "chosen_id": "a", "rejected_id": "b", "margin": 0.01, "log_length_ratio": -0.5},
    "distributions": {"text_id": "t", "model": ODD, "reading": "{}", "token_ids": [2**32 - 1, 0], "ends": [1], "nll": 0.1 + 0.2,
                      "token_logprobs": [-0.5, 0.0], "top_ids": [7], "top_logprobs": [-1.25], "n_bytes": 2**40},
    "readings": {"model": ODD, "reading": "{}", "is_pivot": True, "by_author": False, "token_hex": ["ff20", None]},
    "failures": {"stage": "sample", "key": "r", "error": "e", "message": ODD, "attempts": 3, "permanent": False, "at": AT},
    "flags": {"target": "pair", "chosen_id": "a", "rejected_id": ODD, "flag": "exclude", "note": ODD, "who": "me", "at": AT},
}  # fmt: skip


def rows_of(table):
    key = TABLES[table].key[0]
    return [SAMPLES[table], {key: "all else is null"}]


def response(response_id, text="t", **columns):
    return {"response_id": str(response_id), "prompt_id": "p", "model": "m", "sample_index": 0, "text": text} | columns


def whole_response(messages_digest, revision=None, sampling="new", sample_index=0):
    """One whose id is made of its columns."""
    made_of = {"revision": revision, "sampling": sampling, "sample_index": sample_index}
    response_id = make_response_id(messages_digest, "m", *made_of.values())
    return response(response_id, messages_digest=messages_digest, **made_of)


def ids(run, table="responses"):
    return sorted(run.query(f"SELECT {TABLES[table].key[0]} AS id FROM {table}")["id"])


def readable(folder):
    """Make a folder one that Run.open takes."""
    folder.mkdir(exist_ok=True)
    (folder / "recipe.json").write_text("{}")
    return folder


def journal_file(folder, table="responses"):
    (found,) = (folder / table).glob("journal-*.jsonl")
    return found


@pytest.fixture
def folder(tmp_path):
    return readable(tmp_path / "run")


class Child:
    """A process that runs this code (with `folder` and the names of this file's imports) and prints what it has done."""

    def __init__(self, folder, code):
        head = "from pathlib import Path\nimport datakit.store.run as store\nfrom datakit.store import Run\n"
        head += f"folder = Path({str(folder)!r})\ndef say(text): print(text, flush=True)\n"
        self.process = Forked(first=head + textwrap.dedent(code) + "\nraise SystemExit")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()
        self.process.stdout.close()
        self.process.stderr.close()

    def line(self):
        return self.process.stdout.readline().strip()

    def kill(self):
        self.process.kill()
        self.process.wait()


# --------------------------------------------------------------------------------------------------- in and out again


@pytest.mark.parametrize("table", TABLES)
def test_appended_rows_come_back_as_they_were(folder, table):
    wanted = TABLES[table].frame(rows_of(table))
    with Run.create(folder) as run:
        assert run.append(table, rows_of(table)) == 2
        assert_frame_equal(run.frame(table), wanted, check_row_order=False)
    with Run.open(folder) as run:
        assert_frame_equal(run.frame(table), wanted, check_row_order=False)


@pytest.mark.parametrize("table", TABLES)
def test_journaled_rows_come_back_as_they_were(folder, table):
    """From the journal while it is one, and from the part that it becomes."""
    wanted = TABLES[table].frame(rows_of(table))
    with Run.create(folder) as run:
        for row in rows_of(table):
            run.journal(table).append([row])
        assert run.parts(table) == []
        assert_frame_equal(run.frame(table), wanted, check_row_order=False)
    assert list((folder / table).glob("journal-*")) == []
    with Run.open(folder) as run:
        assert_frame_equal(run.frame(table), wanted, check_row_order=False)


def test_a_run_that_has_grown_is_read_by_all_cores(folder):
    threads = "SELECT current_setting('threads') AS n"
    with Run.create(folder) as run:
        assert run.query(threads)["n"].to_list() == [1]
        run.append("responses", [response(0, text=os.urandom(6 << 20).hex())])
        assert run.query(threads)["n"].to_list() == duckdb.sql(threads).pl()["n"].to_list()


def test_times_do_not_depend_on_where_the_machine_stands(folder):
    code = f"""if True:
        from pathlib import Path
        from datakit.store import Run
        with Run.open(Path({str(folder)!r})) as run:
            frame = run.query('SELECT f.at, f.at::VARCHAR AS text FROM failures AS f')
            print(frame['at'].dtype.time_zone, frame['text'].item())
    """
    with Run.create(folder) as run:
        run.append("failures", [SAMPLES["failures"]])
    elsewhere = os.environ | {"TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=elsewhere, capture_output=True, text=True, check=True)
    assert done.stdout == "UTC 2024-02-29 12:30:00.123456+00\n"


def test_a_score_that_is_no_number_comes_back(folder):
    with Run.create(folder) as run:
        run.append("scores", [{"response_id": "a", "judge": "j", "score": nan}])
        run.journal("scores").append([{"response_id": "b", "judge": "j", "score": nan}])
        assert all(isnan(score) for score in run.frame("scores")["score"])


def test_whole_numbers_are_scores_too(folder):
    """JSON of a judge may say 1 for 1.0, also in the middle of a list; the journal must not be unreadable for it."""
    with Run.create(folder) as run:
        run.journal("scores").append([{"response_id": "a", "judge": "j", "score": 1, "objectives": [1, 0.5]}])
        run.journal("scores").append([{"response_id": "b", "judge": "j", "score": 0.5, "objectives": [0.5, 1]}])
        run.append("scores", [{"response_id": "c", "judge": "j", "score": 0, "objectives": [2, 3]}])
        found = {row["response_id"]: (row["score"], row["objectives"]) for row in run.frame("scores").to_dicts()}
    assert found == {"a": (1.0, [1.0, 0.5]), "b": (0.5, [0.5, 1.0]), "c": (0.0, [2.0, 3.0])}


def test_a_table_without_rows_has_its_columns(folder):
    with Run.create(folder) as run:
        for table in TABLES:
            assert dict(run.frame(table).schema) == dict(TABLES[table].schema)


def test_no_rows_write_nothing(folder):
    with Run.create(folder) as run:
        assert run.append("responses", []) == 0
        run.journal("responses").append([])
    assert not (folder / "responses").exists()


def test_parts_stand_in_the_order_of_writing(folder):
    with Run.create(folder) as run:
        for at in range(12):
            run.append("responses", [response(at)])
        names = [part.name for part in run.parts("responses")]
    assert names == [f"part-{at:06d}.parquet" for at in range(1, 13)]


def test_a_journal_of_long_texts_becomes_a_part_sooner(folder, monkeypatch):
    monkeypatch.setattr("datakit.store.run.JOURNAL_BYTES", 10_000)
    with Run.create(folder) as run:
        for at in range(7):
            run.journal("responses").append([response(str(at), "x" * 4_000)])
        assert len(run.parts("responses")) == 2 and run.frame("responses").height == 7


def test_a_full_journal_becomes_a_part(folder, monkeypatch):
    monkeypatch.setattr("datakit.store.run.JOURNAL_ROWS", 3)
    with Run.create(folder) as run:
        for at in range(7):
            run.journal("responses").append([response(at)])
        assert (len(run.parts("responses")), len(ids(run))) == (2, 7)
    with Run.open(folder) as run:
        assert (len(run.parts("responses")), len(ids(run))) == (3, 7)


def test_replace_puts_a_frame_in_the_place_of_the_table(folder):
    with Run.create(folder) as run:
        for prompt in ("a", "b"):
            run.replace("demos", TABLES["demos"].frame([{"prompt_id": prompt}]))
            assert ids(run, "demos") == [prompt]
        run.replace("demos", TABLES["demos"].frame())
        assert ids(run, "demos") == []


def test_a_part_of_an_older_version_lacks_columns(folder):
    """A column that was added later is null in old rows."""
    with Run.create(folder) as run:
        run.append("responses", [response("new", seed=7)])
    old = TABLES["responses"].frame([response("old", seed=7)]).drop("seed", "latency_s")
    old.write_parquet(folder / "responses" / "part-000002.parquet")
    with Run.open(folder) as run:
        assert dict(run.query("SELECT response_id, seed FROM responses").iter_rows()) == {"new": 7, "old": None}


def test_a_folder_may_have_any_name(tmp_path):
    with Run.create(tmp_path / "it's a run; [x]* 数") as run:
        run.append("responses", [response("a")])
        assert ids(run) == ["a"]


def test_files_that_are_no_parts_are_left_alone(folder):
    """Among them a broken part that the user moved out of the way, as the message says."""
    with Run.create(folder) as run:
        run.append("responses", [response("a")])
        for name in ("part-000001.parquet.bad", "my-notes.txt", "old-part.parquet"):
            (folder / "responses" / name).write_text("x")
        run.append("responses", [response("b")])
        run.journal("responses").append([response("c")])
        assert ids(run) == ["a", "b", "c"]
    assert (folder / "responses" / "my-notes.txt").exists()


# ------------------------------------------------------------------------------------------------------------ missing


def test_missing_is_what_has_no_row_yet(folder):
    with Run.create(folder) as run:
        run.append("scores", [{"response_id": "a", "judge": "x"}, {"response_id": "b", "judge": "y"}])
        run.journal("scores").append([{"response_id": "c", "judge": "x"}])
        wanted = pl.DataFrame({"response_id": ["a", "b", "c", "d"], "judge": ["x"] * 4, "other": [1, 2, 3, 4]})
        assert run.missing("scores", wanted).rows() == [("b", "x", 2), ("d", "x", 4)]
        assert run.missing("scores", wanted.select("response_id")).rows() == [("d",)]


def test_missing_takes_null_for_a_value(folder):
    with Run.create(folder) as run:
        rows = [{"model": "m", "revision": None, "sampling": "s"}, {"model": "m", "revision": "1", "sampling": "s"}]
        run.replace("sources", TABLES["sources"].frame(rows[:1]))
        assert run.missing("sources", TABLES["sources"].frame(rows))["revision"].to_list() == ["1"]


# -------------------------------------------------------------------------------------------- a writer that is killed


def test_kill_9_in_the_middle_of_appends_loses_nothing_and_repeats_nothing(folder):
    """Three times in the same folder, with journals that become parts all the time; every line said is three rows."""
    acknowledged = set()
    for begin, delay_s in ((0, 0.05), (10**6, 0.2), (2 * 10**6, 0.0)):
        code = f"""
            store.JOURNAL_ROWS = 7
            with Run.create(folder) as run:
                for at in range({begin}, 10**9, 3):
                    run.journal("responses").append([{{"response_id": str(at + i), "text": "数" * 500}} for i in range(3)])
                    say(at)
        """
        with Child(folder, code) as child:
            said = [child.line()]
            time.sleep(delay_s)
            child.kill()
            said += child.process.stdout.read().split("\n")[:-1]
        acknowledged |= {str(int(at) + i) for at in said for i in range(3)}
        with Run.open(folder) as run:
            read = ids(run)
        with Run.create(folder) as run:
            assert ids(run) == read
        assert len(read) == len(set(read))
        assert acknowledged <= set(read)


@pytest.mark.parametrize(
    "torn",
    [
        b"",
        b"[",
        '[{"response_id":"c","text":"数'.encode(),
        '[{"response_id":"c","text":"数'.encode()[:-1],
        b'[{"response_id":"c"}]',
    ],
)
def test_a_torn_last_line_was_never_acknowledged(folder, torn):
    """Cut inside a character too: answers are UTF-8, and a kill does not wait for its end."""
    (folder / "responses").mkdir()
    journal = folder / "responses" / "journal-000001.jsonl"
    journal.write_bytes(b"".join(canonical_json([response(at, "数")]).encode() + b"\n" for at in "ab") + torn)
    with Run.open(folder) as run:
        assert ids(run) == ["a", "b"]
    with Run.create(folder) as run:
        assert ids(run) == ["a", "b"]
    assert not journal.exists()


@pytest.mark.parametrize(
    "line", [b"not json", b"\0" * 40, b'[{"response_id":"c","sample_index":"two"}]', b'["a"]', b'{"response_id":"c"}', b"1"]
)
def test_a_broken_line_inside_a_journal_is_named(folder, line):
    """A machine that lost power may leave zeros behind; the rows are not dropped in silence."""
    (folder / "responses").mkdir()
    good = canonical_json([response("a")]).encode()
    (folder / "responses" / "journal-000001.jsonl").write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    with pytest.raises(RunError, match=r"journal-000001\.jsonl"):
        Run.create(folder)


def test_a_crash_between_the_part_and_the_end_of_its_journal(folder):
    with Run.create(folder) as run:
        run.journal("responses").append([response("a"), response("b")])
        shutil.copy(journal := journal_file(folder), kept := folder / "kept")
    shutil.copy(kept, journal)
    with Run.open(folder) as run:
        assert ids(run) == ["a", "b"]
    with Run.create(folder) as run:
        assert ids(run) == ["a", "b"]
        run.append("responses", [response("c")])
        assert ids(run) == ["a", "b", "c"]
    assert not journal.exists()


@pytest.mark.parametrize("content", [b"", b"PAR1 half a part"])
def test_a_temporary_file_that_was_left(folder, content):
    with Run.create(folder) as run:
        run.append("responses", [response("a")])
    leftover = folder / "responses" / "part-000002.tmp"
    leftover.write_bytes(content)
    with Run.open(folder) as run:
        assert ids(run) == ["a"]
    with Run.create(folder) as run:
        assert not leftover.exists()
        run.append("responses", [response("b")])
        assert ids(run) == ["a", "b"]


def test_an_empty_journal_leaves_nothing(folder):
    (folder / "responses").mkdir()
    (folder / "responses" / "journal-000001.jsonl").write_bytes(b"")
    Run.create(folder).close()
    assert list((folder / "responses").iterdir()) == []


def test_replace_is_the_old_table_or_the_new_one(folder):
    """Killed anywhere, and read at any time by others: every row is of one version."""
    code = """
        from datakit.tables import TABLES
        def version(size):
            return TABLES["demos"].frame([{"prompt_id": str(at), "response_id": str(size)} for at in range(size)])
        frames = [version(3), version(4000)]
        with Run.create(folder) as run:
            for at in range(10**6):
                run.replace("demos", frames[at % 2])
                say(at)
    """
    for delay_s in (0.0, 0.07, 0.15):
        with Child(folder, code) as child:
            child.line()
            end = time.monotonic() + delay_s
            while time.monotonic() < end:
                with Run.open(folder) as run:
                    assert_one_version(run)
        with Run.open(folder) as run:
            assert_one_version(run)
        with Run.create(folder) as run:
            assert_one_version(run)


def assert_one_version(run):
    ((size, versions, rows),) = run.query(
        "SELECT min(response_id)::INT, count(DISTINCT response_id), count(*) FROM demos"
    ).rows()
    assert (versions, rows) == (1, size)


# --------------------------------------------------------------------------------------------------- readers, writers


def test_a_second_writer_is_told_who_writes(folder):
    code = """
        run = Run.create(folder)
        say("open")
        import time; time.sleep(60)
    """
    with Child(folder, code) as child:
        assert child.line() == "open"
        with pytest.raises(RunError) as caught:
            Run.create(folder)
        assert str(caught.value) == (
            f"{folder}: another datakit process (pid {child.process.pid}) writes to this run; "
            "wait for it, or give --out another folder"
        )
        Run.open(folder).close()
        child.kill()
        Run.create(folder).close()


def test_a_closed_run_lets_the_next_writer_in(folder):
    with Run.create(folder), pytest.raises(RunError, match=f"pid {os.getpid()}"):
        Run.create(folder)
    with pytest.raises(ZeroDivisionError), Run.create(folder):
        _ = 1 / 0
    Run.create(folder).close()


def test_a_failed_opening_keeps_no_lock(folder):
    with Run.create(folder) as run:
        run.append("responses", [response("a")])
    (part,) = (folder / "responses").glob("part-*")
    part.write_bytes(b"")
    with pytest.raises(RunError) as caught:
        Run.create(folder)
    part.unlink()
    Run.create(folder).close()
    assert "part-000001" in str(caught.value)


def test_a_reader_sees_what_is_journaled_so_far(folder):
    with Run.create(folder) as writer:
        writer.journal("responses").append([response("a")])
        with Run.open(folder) as reader:
            assert ids(reader) == ["a"]
        writer.journal("responses").append([response("b")])
        assert ids(writer) == ["a", "b"]
        with Run.open(folder) as reader:
            assert ids(reader) == ["a", "b"]


def test_a_reader_at_any_moment_sees_every_row_once(folder):
    """Journals become parts all the time: between listing one and the other, and between listing and reading."""
    written, stop, seen = [], threading.Event(), []

    def write():
        with Run.create(folder) as run:
            for at in range(10**6):
                if stop.is_set():
                    return
                run.journal("responses").append([response(at)])
                written.append(str(at))
                if at % 3 == 2:
                    run.journal("responses").close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            before = set(written)
            with Run.open(folder) as run:
                found = ids(run)
            seen.append((len(found) - len(set(found)), len(before - set(found))))
    finally:
        stop.set()
        writer.join()
    assert {(0, 0)} == set(seen), "(rows seen twice, acknowledged rows not seen)"


def test_a_reader_does_not_write(folder):
    with Run.open(folder) as run:
        with pytest.raises(RunError):
            run.append("responses", [response("a")])
        with pytest.raises(RunError):
            run.journal("responses").append([response("a")])


# ----------------------------------------------------------------------------------------- folders and files gone bad


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunError) as caught:
        Run.open(tmp_path)
    assert str(caught.value) == f"{tmp_path}: not a run folder (no recipe.json); make one with: datakit build --out {tmp_path}"
    with pytest.raises(RunError, match="not a run folder"):
        Run.open(tmp_path / "nowhere")


def damage_end(content):
    return content[:-9]


def damage_all(content):
    return b"x" * len(content)


def damage_nothing_left(content):
    return b""


@pytest.mark.parametrize("damage", [damage_end, damage_all, damage_nothing_left])
@pytest.mark.parametrize("opening", [Run.open, Run.create])
def test_a_corrupted_part_is_named_with_what_to_do(folder, damage, opening):
    with Run.create(folder) as run:
        run.append("responses", [response("a")])
    part = folder / "responses" / "part-000001.parquet"
    part.write_bytes(damage(part.read_bytes()))
    with pytest.raises(RunError) as caught:
        opening(folder)
    shown = str(caught.value)
    assert shown.startswith(f"{part}: not a readable Parquet file (")
    assert shown.endswith("); move it away and build again: only the rows in it are made anew")
    assert "\n" not in shown


def test_a_part_that_is_damaged_inside_is_found_when_it_is_read(folder):
    with Run.create(folder) as run:
        run.append("responses", [response(at, "text" * 50) for at in range(50)])
    part = folder / "responses" / "part-000001.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:4] + b"\xff" * 200 + content[204:])
    with Run.open(folder) as run, pytest.raises(BadInput, match=f"SQL over {folder}"):
        run.frame("responses")


@pytest.mark.parametrize("below", ["", "run", "a/b"])
def test_a_place_where_no_folder_can_be(tmp_path, below):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / below
    with pytest.raises(RunError, match=r"cannot write \((Not a directory|File exists)\); what was stored before is intact"):
        Run.create(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_may_not_be_written_to(folder):
    folder.chmod(0o500)
    try:
        with pytest.raises(RunError, match="cannot write"):
            Run.create(folder)
    finally:
        folder.chmod(0o700)


FULL_DISK = """
    import random, resource, signal
    from datakit.errors import RunError
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    letters = [chr(at) for at in range({first}, {last})]
    try:
        with Run.create(folder) as run:
            for at in range(1, 100):
                text = "".join(random.choices(letters, k={size}))
                rows = [{{"response_id": str(at), "text": text}}]
                {write}
                say(at)
    except RunError as error:
        say(f"RunError {{error}}")
"""


@pytest.mark.parametrize("letters", [(97, 122), (0x4E00, 0x9FA5)], ids=["ascii", "chinese"])
@pytest.mark.parametrize(
    ("write", "size"),
    [('run.journal("responses").append(rows)', 20_000), ('run.append("responses", rows)', "30_000 * at")],
    ids=["journal", "part"],
)
def test_a_full_disk_stops_with_what_was_stored_intact(folder, write, size, letters):
    """The kernel refuses writes past 100 kB a file, as it does on a full disk, in the middle of a row."""
    code = FULL_DISK.format(write=write, size=size, first=letters[0], last=letters[1])
    with Child(folder, code) as child:
        lines = [line for line in child.process.stdout.read().split("\n") if line]
        errors = child.process.stderr.read()
    *acknowledged, last = lines or [""]
    assert last == f"RunError {folder}: cannot write (File too large); what was stored before is intact", errors[-800:]
    with Run.create(folder) as run:
        found = set(ids(run))
    assert set(acknowledged) <= found
    assert found <= {*acknowledged, str(len(acknowledged) + 1)}


def test_this_system_has_the_limit_that_stands_for_a_full_disk():
    assert resource.RLIMIT_FSIZE is not None
    assert signal.SIGXFSZ


# ---------------------------------------------------------------------------------------------------------------- SQL

BAD_SQL = {
    "SELEC 1": "syntax error",
    "": "",
    "-- only a comment": "",
    "SELECT * FROM respones": "no table respones; did you mean 'responses'?",
    "SELECT txt FROM responses": 'column "txt" not found',
    "SELECT 'x'::INT": "Could not convert string 'x'",
    "SELECT $limit": "limit",
    "DROP TABLE responses": "",
    "SELECT INTERVAL 1 DAY AS d": 'column "d" is of type INTERVAL; write CAST("d" AS VARCHAR)',
    "SELECT [union_value(k := 1)] AS u": 'column "u" is of type UNION(k INTEGER)[]',
}


@pytest.mark.parametrize(("sql", "said"), BAD_SQL.items(), ids=[sql or "nothing" for sql in BAD_SQL])
def test_sql_that_cannot_be_run_is_bad_input(folder, sql, said):
    with Run.open(folder) as run, pytest.raises(BadInput) as caught:
        run.query(sql)
    assert said in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_parameter_too_many_is_bad_input(folder):
    with Run.open(folder) as run, pytest.raises(BadInput, match="Expected 0, got 1"):
        run.query("SELECT 1", {"x": 1})


def test_sql_does_not_see_the_variables_of_the_program(folder):
    with Run.open(folder) as run:
        frame = run.frame("responses")
        assert frame.height == 0
        for name in ("frame", "sql", "params"):
            with pytest.raises(BadInput, match=f"there is no table {name}"):
                run.query(f"SELECT * FROM {name}")


def test_a_join_may_give_a_column_twice(folder):
    with Run.create(folder) as run:
        run.append("responses", [response("a")])
        run.append("scores", [{"response_id": "a", "judge": "j", "score": 0.5}])
        joined = run.query("SELECT * FROM responses AS r JOIN scores AS s ON r.response_id = s.response_id")
    assert joined["score"].to_list() == [0.5]


def test_a_made_table_is_gone_when_what_it_is_made_of_is_written_to(folder):
    with Run.create(folder) as run:
        run.make_table("first", "SELECT $x + count(*) AS x FROM responses", {"x": 1})
        run.make_view("seen", "FROM first")
        run.make_table("second", "SELECT x FROM seen")
        run.make_table("beside", "SELECT count(*) AS x FROM flags")
        assert run.query("SELECT x FROM second").rows() == [(1,)]
        run.append("scores", [{"response_id": "a", "judge": "j", "score": 0.5}])
        assert run.query("SELECT x FROM second").rows() == [(1,)]
        run.append("responses", [response("a")])
        for name in ("first", "second"):
            with pytest.raises(BadInput, match=f"no table {name}"):
                run.query(f"SELECT x FROM {name}")
        assert run.query("SELECT x FROM beside").rows() == [(0,)]


@pytest.mark.parametrize("path", sorted(SQL.rglob("*.sql")), ids=lambda path: path.name)
def test_every_statement_has_a_header_and_is_one(path):
    text = load_sql(path.relative_to(SQL).with_suffix("").as_posix())
    assert text.startswith("-- ")
    assert ";" not in "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))


# ------------------------------------------------------------------------------------------------------------ recipes

RECIPE = {
    "domain": "math",
    "prompts": [{"type": "file", "path": "p.jsonl"}],
    "sources": [{"type": "endpoint", "model": "数", "base_urls": ["http://u/v1"], "sampling": {"temperature": 0.8}}],
}


def test_a_recipe_comes_back_with_its_folder(folder, tmp_path):
    recipe = parse(RECIPE, "r", tmp_path)
    with Run.create(folder) as run:
        run.save_recipe(recipe)
    with Run.open(folder) as run:
        assert (run.recipe().model_dump(), run.recipe().folder) == (recipe.model_dump(), tmp_path)
    assert json.loads((folder / "recipe.json").read_text())["digest"] == recipe_digest(recipe)
    assert not (folder / "recipe.json.tmp").exists()


def test_a_new_folder_has_no_recipe(tmp_path):
    with Run.create(tmp_path / "run") as run:
        assert not run.has_recipe
        with pytest.raises(RunError, match="not a run folder"):
            run.recipe()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"recipe": {}}'])
def test_a_recipe_json_that_cannot_be_read_is_named(folder, text):
    (folder / "recipe.json").write_text(text)
    with Run.open(folder) as run, pytest.raises(RunError, match=r"recipe\.json: cannot be read .*build again with --recipe"):
        run.recipe()


def test_a_recipe_json_of_another_version_is_a_recipe_error(folder):
    (folder / "recipe.json").write_text(json.dumps({"folder": "/", "recipe": RECIPE | {"colour": "red"}}))
    with Run.open(folder) as run, pytest.raises(RecipeError, match=r"recipe\.json: colour: extra field not permitted"):
        run.recipe()


# ---------------------------------------------------------------------------------------------------------------- ids

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = texts.filter(lambda text: "\x1f" not in text)


@given(st.lists(st.tuples(names.filter(bool), st.none() | names, names), min_size=1, max_size=5, unique=True), names)
def test_the_id_in_sql_is_the_id_in_python(sources, content):
    """Any model name, revision or none, any system prompt; and the views find rows that were written under Python's id."""
    messages: Messages = [{"role": "user", "content": content}]
    prompt: Row = {"prompt_id": "p", "messages": messages, "messages_digest": digest_of_messages(messages)}
    rows: Rows = [
        {"model": model, "revision": revision, "sampling": canonical_json({"system": system}), "type": "endpoint", "n": 2}
        for model, revision, system in sources
    ]
    wanted = {
        make_response_id(prompt["messages_digest"], row["model"], row["revision"], row["sampling"], index)
        for row in rows
        for index in range(2)
    }
    run = Run(Path("nowhere"), lock=None)
    try:
        assert not run.frame("wanted_responses").height
        connection = run._connect().connection
        for table, frame in (("prompts", TABLES["prompts"].frame([prompt])), ("sources", TABLES["sources"].frame(rows))):
            connection.execute(f"DROP VIEW {table}")
            connection.register(table, frame)
        assert set(run.query(load_sql("views/wanted_responses"))["response_id"]) == wanted
    finally:
        run.close()


def test_wanted_responses_leaves_out_dropped_prompts(folder):
    prompts = [{"prompt_id": "a", "messages_digest": "1"}, {"prompt_id": "b", "messages_digest": "2", "dropped": "why"}]
    with Run.create(folder) as run:
        run.replace("prompts", TABLES["prompts"].frame(prompts))
        run.replace("sources", TABLES["sources"].frame([{"model": "m", "sampling": "{}", "type": "endpoint", "n": 3}]))
        wanted = run.query("SELECT prompt_id, sample_index, response_id FROM wanted_responses ORDER BY ALL").rows()
    assert wanted == [("a", at, make_response_id("1", "m", None, "{}", at)) for at in range(3)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM prompts",
        "SELECT count(*) FROM Prompts",
        'SELECT count(*) FROM "prompts"',
        "SELECT count(*) FROM 'prompts'",
        "SELECT count(*) FROM query_table('prompts')",
        "SELECT count(*) FROM main.prompts -- not pairs",
        "WITH pairs AS (FROM asked_prompts) SELECT count(*) FROM pairs",
        "SELECT count(*) FROM duckdb_views() WHERE view_name = 'current_responses'",
        "SELECT count(*) FROM (SHOW TABLES) WHERE name = 'pairs_with_texts'",
    ],
)
def test_a_table_or_view_is_there_however_a_question_names_it(folder, query):
    """Each is the first question of a connection, which has made none of them yet."""
    with Run.create(folder) as run:
        run.replace("prompts", TABLES["prompts"].frame([{"prompt_id": "a", "messages_digest": "1"}]))
        assert run.query(query).row(0) == (1,)


def test_current_responses_are_those_that_the_recipe_wants(folder):
    """Rows of an old temperature, of a dropped prompt and beyond n stay in the table and are not read."""
    prompts = [{"prompt_id": "a", "messages_digest": "1"}, {"prompt_id": "b", "messages_digest": "2", "dropped": "why"}]
    rows = {
        "wanted": whole_response("1"),
        "old sampling": whole_response("1", sampling="old"),
        "another revision": whole_response("1", revision="2"),
        "beyond n": whole_response("1", sample_index=1),
        "dropped": whole_response("2"),
    }
    with Run.create(folder) as run:
        run.replace("prompts", TABLES["prompts"].frame(prompts))
        run.replace("sources", TABLES["sources"].frame([{"model": "m", "sampling": "new", "type": "endpoint", "n": 1}]))
        run.append("responses", list(rows.values()))
        current = run.query("SELECT response_id FROM current_responses")["response_id"].to_list()
        assert current == [rows["wanted"]["response_id"]]
        assert len(ids(run)) == 5


def failure(key, stage="sample", source="m", minute=0, **columns):
    return {"stage": stage, "key": key, "source": source, "at": AT.replace(minute=minute)} | columns


def test_current_failures_are_the_last_of_each_row_that_is_still_missing(folder):
    one, two, three = (make_response_id("1", "m", None, "{}", at) for at in range(3))
    with Run.create(folder) as run:
        run.replace("prompts", TABLES["prompts"].frame([{"prompt_id": "a", "messages_digest": "1"}]))
        run.replace("sources", TABLES["sources"].frame([{"model": "m", "sampling": "{}", "type": "endpoint", "n": 3}]))
        run.replace("judges", TABLES["judges"].frame([{"judge": "j"}, {"judge": "k"}]))
        run.append("responses", [response(two), response(three)])
        run.append("scores", [{"response_id": three, "judge": "j"}])
        run.append("failures", [
            failure(one, error="last", minute=9), failure(one, error="first", minute=1),  # still missing: the last one
            failure(two, error="came later"),
            failure("nobody wants it", error="gone"),
            failure(two, "score", "j", error="no score"),
            failure(three, "score", "j", error="came later"),
            failure(three, "score", "k", error="no score of k"),
            failure(three, "score", "one that left the recipe", error="no score either"),
        ])  # fmt: skip
        found = run.query("SELECT stage, source, error FROM current_failures ORDER BY ALL").rows()
    assert found == [("sample", "m", "last"), ("score", "j", "no score"), ("score", "k", "no score of k")]


@given(st.lists(names, max_size=4), st.lists(names, max_size=4))
def test_a_digest_tells_parts_apart(one, other):
    """Only None and the empty text are the same part, and no parts are one empty part."""
    assert (digest(*one) == digest(*other)) == ((one or [""]) == (other or [""]))
    assert digest(*one, None) == digest(*one, "")
    assert len(digest(*one)) == ID_LENGTH


def test_ids_are_written_down():
    """Runs on disk are found by them: a change of these values orphans every row that anybody has."""
    messages: Messages = [{"role": "user", "content": "数 1+1"}]
    assert digest("a", None, "b") == "3aa8909cac0696919c2cc255"
    assert digest_of_messages(messages) == "b99a01699e73f5fd5426df12"
    assert make_response_id("d", "m", None, '{"temperature":0.8}', 3) == "94a34953a60b1de3b40c87c9"
    assert make_seed("d") == 417103568


@given(st.lists(st.fixed_dictionaries({"role": texts, "content": texts}), max_size=3))
def test_the_digest_of_messages_is_that_of_their_canonical_json(messages):
    assert digest_of_messages(messages) == digest(canonical_json(messages))


def test_the_order_of_a_messages_fields_is_no_difference():
    assert digest_of_messages([{"role": "user", "content": "x"}]) == digest_of_messages([{"content": "x", "role": "user"}])


@given(texts, st.integers(0, 5))
def test_a_seed_is_a_31_bit_function_of_the_id(response_id, attempt):
    seed = make_seed(response_id, attempt)
    assert 0 <= seed < 2**31
    assert seed == make_seed(response_id, attempt)
    assert seed != make_seed(response_id, attempt + 1)


@given(
    st.recursive(st.none() | st.integers() | texts, lambda inner: st.dictionaries(texts, inner) | st.lists(inner), max_leaves=8)
)
def test_canonical_json_is_one_line_and_one_spelling(value):
    text = canonical_json(value)
    assert "\n" not in text
    assert canonical_json(json.loads(text)) == text


# ------------------------------------------------------------------------------------------------------- fingerprints


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "weights").write_bytes(b"0123")
    return folder


def test_a_fingerprint_does_not_see_times_or_places(model, tmp_path):
    before = fingerprint(model)
    assert before.startswith("local-")
    os.utime(model / "config.json", (0, 0))
    shutil.copytree(model, tmp_path / "elsewhere")
    assert {fingerprint(model), fingerprint(tmp_path / "elsewhere")} == {before}


def test_a_fingerprint_sees_contents_and_names(model):
    seen = [fingerprint(model)]
    (model / "sub" / "weights").write_bytes(b"0124")
    seen.append(fingerprint(model))
    (model / "sub" / "weights").rename(model / "sub" / "weight")
    seen.append(fingerprint(model))
    (model / "empty").write_bytes(b"")
    seen.append(fingerprint(model))
    (model / "empty").unlink()
    assert fingerprint(model) == seen[2]
    assert len(set(seen)) == 4


@pytest.mark.parametrize("at", [0, -1])
def test_a_fingerprint_sees_both_ends_of_a_large_file(model, at):
    size = 65 << 20
    with (model / "large").open("wb") as file:
        file.truncate(size)
    before = fingerprint(model)
    with (model / "large").open("r+b") as file:
        file.seek(at % size)
        file.write(b"\1")
    assert fingerprint(model) != before


def test_a_spool_writes_groups_of_as_many_rows_however_they_come(folder):
    """Frames and single rows, in their order; so that a reader that takes a group at a time needs little memory."""
    rows = [response(f"r{at:05}") for at in range(11_003)]
    with Run.create(folder) as run:
        spool = run.spool("responses")
        for at, size in ((0, 3_000), (3_000, 1), (3_001, 8_000), (11_001, 2)):
            for row in rows[at : at + size] if size < 3 else [TABLES["responses"].frame(rows[at : at + size])]:
                spool.add(row)
        spool.finish()
        run.append_by(spool)
        (part,) = run.parts("responses")
    assert pl.read_parquet(part)["response_id"].to_list() == [row["response_id"] for row in rows]
    groups = parquet.ParquetFile(part).metadata
    assert [groups.row_group(at).num_rows for at in range(groups.num_row_groups)] == [5_000, 5_000, 1_003]


def listed(n: int) -> str:
    """A statement whose one row no disk can hold for it."""
    return f"SELECT list(md5(i::VARCHAR)) AS found FROM range({n}) AS t(i)"


def test_a_stream_takes_more_memory_where_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vector has 2,048 texts, however long: the answers of a model that thinks for pages need more than those of others."""
    with short_of_memory(tmp_path, monkeypatch, more=("16MB", "256MB")) as run:
        [frame] = run.stream(listed(400_000), {}, 5_000)
    assert len(frame["found"][0]) == 400_000


def test_memory_that_does_not_do_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = short_of_memory(tmp_path, monkeypatch, more=("9MB",))
    with given as run, pytest.raises(BadInput, match=r"^SQL over .*: Out of Memory Error"):
        list(run.stream(listed(400_000), {}, 5_000))


def short_of_memory(folder: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]) -> Run:
    monkeypatch.setattr("datakit.store.database._LITTLE", "8MB")
    monkeypatch.setattr("datakit.store.database._MORE", more)
    return Run.create(folder)
