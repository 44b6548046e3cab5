"""Files as people have them: every format of one file gives the same tables, and a bad row is counted, not fatal."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from datakit.audit.inspect import inspect
from datakit.check.problems import check
from datakit.collect.imported import TAKEN
from datakit.collect.inputs import read_inputs
from datakit.collect.reading import prompt_row
from datakit.collect.rows import read_rows
from datakit.collect.tally import Tally
from datakit.domains.instruct import Instruct
from datakit.domains.math.domain import Math
from datakit.errors import BadInput, RecipeError
from datakit.export.folders import Wish, export_runs
from datakit.options import Options, Stage
from datakit.recipe import Recipe, parse
from datakit.recipe.verify import Unverified, VerifyMath
from datakit.stages import build
from datakit.store import Run
from datakit.store.parts import as_stored
from datakit.tables import TABLES, Prompt, Row, Rows
from tests.helpers.monitors import Heard

ROWS: Rows = [
    {"prompt_id": "a", "prompt": 'Say "hi",\tplease', "model": "m", "text": "hi, ünïcode \u2028 here", "score": 0.5},
    {"prompt_id": "a", "prompt": 'Say "hi",\tplease', "model": "m", "text": "two\r\nlines\nor three", "score": 1},
    {"prompt_id": "b", "prompt": "小さい", "model": "m", "text": None, "score": None},
    {"prompt_id": "b", "prompt": "小さい", "model": "n", "text": '{"a": [1, 2]}', "score": -2.25},
    {"prompt_id": "007", "prompt": "\\u0041 and a \\", "model": "n", "text": "  outer space  ", "score": 0.1},
]


def as_json_lines(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_table(rows: Rows, delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: Rows) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(rows, infer_schema_length=None, strict=False).write_parquet(file)
    return file.getvalue()


BOM = b"\xef\xbb\xbf"
FORMATS: dict[str, Callable[[Rows], bytes]] = {
    "bom.jsonl": lambda rows: BOM + as_json_lines(rows),
    "crlf.jsonl": lambda rows: as_json_lines(rows).replace(b"\n", b"\r\n"),
    "blank.ndjson": lambda rows: as_json_lines(rows).replace(b"\n", b"\n \n"),
    "lines.json": as_json_lines,
    "array.json": lambda rows: BOM + json.dumps(rows, indent=2).encode(),
    "tight.json.gz": lambda rows: gzip.compress(json.dumps(rows, separators=(",", ":")).encode()),
    "lines.jsonl.gz": lambda rows: gzip.compress(as_json_lines(rows)),
    "table.csv": lambda rows: BOM + as_table(rows, ","),
    "table.csv.gz": lambda rows: gzip.compress(as_table(rows, ",")),
    "table.tsv": lambda rows: as_table(rows, "\t"),
    "table.parquet": as_parquet,
}


Tables = dict[str, list[Row]]
OF_FILE = ("source", "judge", "at")


def recipe_of(folder: Path, path: str, **fields: Any) -> Recipe:
    source = {"type": "responses", "path": path, "judge": "j", **fields}
    return parse({"domain": "instruct", "sources": [source], "select": {"margin": None}}, "r.yaml", folder)


def read(folder: Path, path: str, notes: list[str] | None = None, **fields: Any) -> Tables:
    """All that a build would store of one responses file, without the names that come from the file's name."""
    found: dict[str, list[Row | pl.DataFrame]] = {"prompts": [], "responses": [], "scores": [], "failures": []}
    recipe = recipe_of(folder, path, **fields)
    inputs = read_inputs(
        recipe,
        Instruct(Unverified()).read,
        None,
        lambda prompt: found["prompts"].append(prompt_row(prompt)),
        lambda table, given: found[table].append(given),
    )
    if notes is not None:
        notes += [note.of(n) for note, n in inputs.notes.items()]
    tables = {table: stored(table, given) for table, given in found.items()}
    return tables | {"sources": inputs.source_frame(recipe).to_dicts()}


def stored(table: str, given: list[Row | pl.DataFrame]) -> Rows:
    """Frames, and the rows between them, as one table has them."""
    frames: list[pl.DataFrame] = []
    for is_frame, some in groupby(given, lambda one: isinstance(one, pl.DataFrame)):
        several: list[Any] = list(some)
        frames += several if is_frame else [TABLES[table].frame(several)]
    whole = pl.concat([as_stored(table, frame) for frame in [TABLES[table].frame(), *frames]])
    return whole.drop(OF_FILE, strict=False).to_dicts()


def built(folder: Path, path: str, until: Stage = "export") -> dict[str, pl.DataFrame]:
    """The tables of a whole build, sorted."""
    run = folder / f"run-{path.replace('*', 'all')}"
    build(recipe_of(folder, path), run, Options(until), Heard())
    with Run.open(run) as opened:
        frames = {name: opened.frame(name).drop(OF_FILE, strict=False) for name in TABLES}
    return {name: frame.sort(frame.columns[:2]) for name, frame in frames.items()}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("wanted")
    (folder / "plain.jsonl").write_bytes(as_json_lines(ROWS))
    return read(folder, "plain.jsonl")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_tables(tmp_path: Path, name: str, wanted: Tables) -> None:
    (tmp_path / name).write_bytes(FORMATS[name](ROWS))
    assert read(tmp_path, name) == wanted
    assert len(wanted["responses"]) == 4 and len(wanted["scores"]) == 4 and len(wanted["failures"]) == 1


def test_several_files_by_a_pattern(tmp_path: Path) -> None:
    """Whole builds."""
    (tmp_path / "plain.jsonl").write_bytes(as_json_lines(ROWS))
    (tmp_path / "1.jsonl").write_bytes(as_json_lines(ROWS[:2]))
    (tmp_path / "2.csv").write_bytes(as_table(ROWS[2:], ","))
    (tmp_path / "other.txt").write_bytes(b"not read")
    plain, several = built(tmp_path, "plain.jsonl"), built(tmp_path, "[0-9].*")
    assert plain["pairs"].height == 1 and all(several[name].equals(plain[name]) for name in plain)


def test_a_column_of_lists_holds_acceptable_answers(tmp_path: Path) -> None:
    answers = {"a": ["9/4", "2.25", "2"], "b": ["7"], "c": []}
    rows: Rows = [
        {"prompt_id": prompt_id, "prompt": f"{prompt_id}?", "reference": answers[prompt_id], "model": "m", "text": text}
        for prompt_id, text in [("a", "It is 2."), ("a", "It is 3."), ("b", "It is 7."), ("b", "It is 9."), ("c", "It is 1.")]
    ]
    (tmp_path / "r.jsonl").write_bytes(as_json_lines(rows))
    (tmp_path / "r.parquet").write_bytes(as_parquet(rows))
    recipes = {
        name: parse({"domain": "math", "sources": [{"type": "responses", "path": name}]}, "r.yaml", tmp_path)
        for name in ("r.jsonl", "r.parquet")
    }
    for recipe in recipes.values():
        prompts: list[Prompt] = []
        read_inputs(recipe, Math(VerifyMath()).read, None, prompts.append)
        assert [(prompt.prompt_id, prompt.reference, prompt.dropped) for prompt in prompts] == [
            ("a", '["9/4", "2.25", "2"]', None),
            ("b", "7", None),
            ("c", None, "no reference answer"),
        ]
    build(recipes["r.parquet"], tmp_path / "run", Options("verify"), Heard())
    with Run.open(tmp_path / "run") as run:
        outcomes = run.query("SELECT outcome FROM verdicts SEMI JOIN responses USING (response_id) ORDER BY ALL")["outcome"]
    assert outcomes.to_list() == ["failed", "failed", "passed", "passed"]


RENAMED = {"response": "text", "source_model": "model", "sample_idx": "sample_index"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chinese", "code", "instruct", "instruct_scored", "math"])
def test_real_files_in_every_format(tmp_path: Path, shared_data: Path, name: str) -> None:
    """Built of two, and read of all."""
    kept = ("prompt_id", "prompt", "model", "text", "sample_index", "score")
    raw = gzip.decompress((shared_data / "responses" / f"{name}.jsonl.gz").read_bytes())
    given = [{RENAMED.get(key, key): value for key, value in json.loads(line).items()} for line in raw.splitlines()]
    rows = [{key: row.get(key) for key in kept} | {"score": row.get("score") or 0.0} for row in given]
    for file, write in {"plain.jsonl": as_json_lines, **FORMATS}.items():
        (tmp_path / file).write_bytes(write(rows))
    plain = read(tmp_path, "plain.jsonl")
    assert len(plain["responses"]) + len(plain["failures"]) == len(rows)
    for file in FORMATS:
        assert read(tmp_path, file) == plain, file
    tables = [built(tmp_path, file, "collect") for file in ("plain.jsonl", "table.csv")]
    assert all(tables[0][table].equals(tables[1][table]) for table in TABLES) and tables[0]["scores"].height


# ------------------------------------------------------------------------------------------------------------------ columns


def rows_of(folder: Path, name: str, **fields: Any) -> Rows:
    given = parse(
        {"domain": "instruct", "sources": [{"type": "responses", "path": name, **fields}]}, "r.yaml", folder
    ).imported[0]
    return [row for _, _, row in read_rows(given, Tally(given))]


def test_a_dot_leads_into_a_column_of_objects(tmp_path: Path) -> None:
    rows: Rows = [{"meta": {"question": "1?", "by": {"model": "m"}}, "meta.question": "literal"}, {"meta": None}]
    (tmp_path / "r.jsonl").write_bytes(as_json_lines(rows))
    columns = {"prompt": "meta.question", "model": "meta.by.model"}
    assert rows_of(tmp_path, "r.jsonl", columns=columns) == [{"prompt": "literal", "model": "m"}, {}]
    nested: Rows = [{"meta": {"question": "1?", "by": {"model": "m"}}}, {"meta": None}]
    for name, write in [("n.jsonl", as_json_lines), ("n.parquet", as_parquet)]:
        (tmp_path / name).write_bytes(write(nested))
        assert rows_of(tmp_path, name, columns=columns) == [{"prompt": "1?", "model": "m"}, {}]
        with pytest.raises(BadInput, match=r"no column 'meta.qestion'; did you mean 'meta.question'\? n.\w+ has meta.by, meta"):
            rows_of(tmp_path, name, columns={"prompt": "meta.qestion"})


def test_several_columns_become_one(tmp_path: Path) -> None:
    rows: Rows = [
        {"question": "Add.", "code": "def f", "shown": "[1]", "meta": {"hidden": [2]}},
        {"question": "Add.", "code": " ", "shown": "[1]", "meta": None},
        {"question": "Add.", "code": None, "shown": None, "meta": {"hidden": None}},
    ]
    (tmp_path / "r.jsonl").write_bytes(as_json_lines(rows))
    columns = {"prompt": ["question", "code"], "reference": ["shown", "meta.hidden"]}
    assert rows_of(tmp_path, "r.jsonl", columns=columns) == [
        {"prompt": "Add.\n\ndef f", "reference": {"shown": "[1]", "hidden": [2]}},
        {"prompt": "Add.", "reference": {"shown": "[1]"}},
        {"prompt": "Add."},
    ]
    with pytest.raises(
        BadInput, match=r"columns.prompt: there is no column 'cod'; did you mean 'code'\? r.jsonl has code, meta, q"
    ):
        rows_of(tmp_path, "r.jsonl", columns={"prompt": ["question", "cod"]})


@pytest.mark.parametrize(
    "columns",
    [{"text": ["a", "b"]}, {"prompt": []}, {"prompt": ["a"]}, {"prompt": ["a", "a"]}, {"reference": ["x.a", "y.a"]},
     {"reference": ["a", 1]}, {"prompt": None}, {"prompt": {"a": "b"}}],
    ids=json.dumps,
)  # fmt: skip
def test_lists_of_columns_that_say_nothing_are_refused(tmp_path: Path, columns: dict[str, Any]) -> None:
    (ours, theirs), *_ = columns.items()
    with pytest.raises(RecipeError) as raised:
        rows_of(tmp_path, "r.jsonl", columns=columns)
    assert f"sources.0.columns: {ours} must be the name of a column; prompt, reference, choices may have" in str(raised.value)
    assert f"(got {theirs!r})" in str(raised.value)


@pytest.mark.parametrize(
    "messages",
    [
        [{"from": "system", "value": "Be short."}, {"from": "human", "value": "1?"}],
        json.dumps([{"role": "system", "content": "Be short."}, {"role": "user", "content": "1?"}]),
        json.dumps([{"from": "system", "value": "Be short."}, {"from": "human", "value": "1?"}]),
    ],
)
def test_messages_as_people_have_them(tmp_path: Path, messages: Any) -> None:
    turns = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "1?"}]
    answer = {"model": "m", "text": "1", "score": 1}
    (tmp_path / "given.jsonl").write_bytes(as_json_lines([{"messages": messages, **answer}]))
    (tmp_path / "plain.jsonl").write_bytes(as_json_lines([{"messages": turns, **answer}]))
    assert read(tmp_path, "given.jsonl") == read(tmp_path, "plain.jsonl")


def test_a_sharegpt_conversation_keeps_its_turns(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "1?"}, {"from": "gpt", "value": "2"}, {"from": "human", "value": "Sure?"}]
    (tmp_path / "r.jsonl").write_bytes(as_json_lines([{"conversations": turns, "model": "m", "text": "No", "score": 1}]))
    [prompt] = read(tmp_path, "r.jsonl", columns={"messages": "conversations"})["prompts"]
    assert [message["role"] for message in prompt["messages"]] == ["user", "assistant", "user"]


def test_decimals_and_numpy_scalars_are_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"prompt": "1?", "model": "m", "text": "It is #### 72"}
    plain = [base | {"prompt_id": "7", "reference": 72, "score": 0.5, "sample_index": 3}]
    decimals = [base | {"prompt_id": 7, "reference": Decimal("72.00"), "score": Decimal("0.5"), "sample_index": 3.0}]
    (tmp_path / "plain.jsonl").write_bytes(as_json_lines(plain))
    (tmp_path / "decimals.parquet").write_bytes(as_parquet(decimals))
    wanted = read(tmp_path, "plain.jsonl")
    assert wanted["prompts"][0]["reference"] == "72" and wanted["responses"][0]["sample_index"] == 3
    assert read(tmp_path, "decimals.parquet") == wanted
    numpy = base | {
        "prompt_id": np.int64(7),
        "reference": np.float32(72),
        "score": np.float64(0.5),
        "sample_index": np.int32(3),
    }
    for room in ("rows", "stretches"):
        monkeypatch.setattr(f"datakit.collect.{room}.read_file", lambda path, name, tally: iter([(f"{name}: row", 1, numpy)]))
    (tmp_path / "numpy.csv").write_bytes(b"")
    assert read(tmp_path, "numpy.csv") == wanted


# ----------------------------------------------------------------------------------------------------------------- bad rows

GOOD = {"prompt_id": "a", "prompt": "1?", "model": "m", "text": "1", "score": 1}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": None}, "no prompt and no messages"),
        ({"prompt": None, "messages": []}, "messages must be a list of {role, content}"),
        ({"model": None}, "no model for the response"),
    ],
)
def test_a_row_without_what_it_needs_is_dropped_and_counted(tmp_path: Path, row: Row, said: str) -> None:
    (tmp_path / "r.jsonl").write_bytes(as_json_lines([GOOD, GOOD | {"prompt_id": "b"} | row, GOOD | {"text": "2"}]))
    notes: list[str] = []
    assert len(read(tmp_path, "r.jsonl", notes)["responses"]) == 2
    assert f"1 row of r.jsonl dropped: {said} (the first: r.jsonl: line 2 (prompt_id b))" in notes
    with pytest.raises(BadInput, match=r"r\.jsonl: line 2 \(prompt_id b\): "):
        read(tmp_path, "r.jsonl", on_bad_row="stop")


BROKEN: dict[str, tuple[bytes, str]] = {
    "r.jsonl": (as_json_lines([GOOD]) + b'{"prompt": "x\n', "line 2: not valid JSON"),
    "list.jsonl": (as_json_lines([GOOD]) + b"[1]\n", "line 2: not a JSON object"),
    "half.jsonl": (as_json_lines([GOOD]) + b'{"prompt": "\\ud800"}\n', "line 2: holds half a character"),
    "type.jsonl": (as_json_lines([GOOD, GOOD | {"prompt": 5}]), r"line 2 \(prompt_id a\): prompt must be text \(got 5\)"),
    "text.jsonl": (as_json_lines([GOOD, GOOD | {"text": 5}]), r"line 2 \(prompt_id a\): text must be text \(got 5\)"),
    "score.jsonl": (
        as_json_lines([GOOD, GOOD | {"score": "high"}]),
        r"line 2 \(prompt_id a\): score is not a finite .*got 'high'",
    ),
    "high.jsonl": (
        as_json_lines([GOOD, GOOD | {"score": 10**400}]),
        r"line 2 \(prompt_id a\): score is not a finite .*got 1000+",
    ),
    "high.csv": (
        as_table([GOOD, GOOD | {"score": "9" * 400}], ","),
        r"line 3 \(prompt_id a\): score is not a finite .*got 9999+",
    ),
    "exponent.json": (
        json.dumps([GOOD, GOOD | {"score": "1e999"}]).encode(),
        r"item 2 \(prompt_id a\): score is not a finite .*got inf",
    ),
    "endless.jsonl": (
        as_json_lines([GOOD]) + as_json_lines([GOOD]).replace(b": 1}", b": Infinity}"),
        r"line 2 .*: score is not a finite .*got inf",
    ),
    "index.jsonl": (as_json_lines([GOOD, GOOD | {"sample_index": 10**400}]), r"line 2 .*: sample_index must be a whole number"),
    "items.json": (json.dumps([GOOD, 7]).encode(), "item 2: not a JSON object"),
    "r.csv": (as_table([GOOD], ",") + b"a,1?\r\n", r"line 3: not as many cells as the first line has \(5\): 2"),
    "quote.csv": (as_table([GOOD], ",") + b'a,1?,m,"x"y,1\r\n', "line 3: not a row of a table"),
}


@pytest.mark.parametrize("score", [1e308, -1e308, 10**308, "1e3", "-0", 0.1 + 0.2])
def test_any_finite_score_is_one(tmp_path: Path, score: object) -> None:
    """The control, in columns and row by row."""
    (tmp_path / "r.jsonl").write_bytes(as_json_lines([GOOD, GOOD | {"score": score}]))
    (tmp_path / "r.json").write_bytes(json.dumps([GOOD, GOOD | {"score": score}]).encode())
    for name in ("r.jsonl", "r.json"):
        assert [row["score"] for row in read(tmp_path, name)["scores"]] == [1.0, float(score)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BROKEN)
def test_a_row_that_cannot_be_read_stops_a_build_or_is_dropped(tmp_path: Path, name: str) -> None:
    data, said = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput, match=rf"{name}: {said}.*on_bad_row: drop"):
        read(tmp_path, name)
    notes: list[str] = []
    assert len(read(tmp_path, name, notes, on_bad_row="drop")["responses"]) == 1
    assert sum("dropped" in note for note in notes) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'[{"prompt": "1?"}, {"prompt"', "item 2 is not valid JSON"),
        (b'[{"prompt": "1?"} {"prompt": "2?"}]', r"item 1 is not valid JSON \(',' or '\]' expected"),
        (b'[{"prompt": "1?"}', "item 1 is not valid JSON .the array has no end"),
    ],
)
def test_an_array_that_breaks_off(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "r.json").write_bytes(data)
    with pytest.raises(BadInput, match=rf"r.json: {said}"):
        rows_of(tmp_path, "r.json", on_bad_row="drop")


def test_an_array_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 2, 7, 64):
        monkeypatch.setattr("datakit.collect.formats.CHARACTERS_AT_A_TIME", size)
        (tmp_path / "r.json").write_text(json.dumps(ROWS, indent=1))
        assert [row["text"] for row in rows_of(tmp_path, "r.json") if "text" in row] == [r["text"] for r in ROWS if r["text"]]


def test_an_input_of_which_every_row_is_unusable_names_the_column(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(as_json_lines([GOOD | {"prompt": None, "question": "1?"}] * 3))
    said = r"r\.jsonl: none of its 3 rows can be used.*line 1.*no prompt and no messages; name the column.*question, score"
    with pytest.raises(BadInput, match=said):
        read(tmp_path, "r.jsonl")


@pytest.mark.parametrize(
    ("domain", "row", "said"),
    [("instruct", {"prompt": " "}, "empty prompt"), ("math", {"prompt": "1?", "gold": "1"}, "no reference answer")],
)
def test_prompts_of_which_none_can_be_used(tmp_path: Path, domain: str, row: Row, said: str) -> None:
    (tmp_path / "r.jsonl").write_bytes(as_json_lines([{**row, "model": "m", "text": "1"}] * 2))
    recipe = parse(
        {"domain": domain, "sources": [{"type": "responses", "path": "r.jsonl"}], "select": {"margin": None}}, "r", tmp_path
    )
    with pytest.raises(BadInput, match=rf"r.jsonl: none of the prompts can be used: {said} \(1\); check columns"):
        build(recipe, tmp_path / "run", Options(), Heard())


def test_check_says_how_many_rows_it_read_and_dropped(tmp_path: Path) -> None:
    rows = [{"prompt": "1?", "reference": "1"}, {"prompt": None, "reference": "2"}, {"prompt": " ", "reference": "2"}]
    (tmp_path / "p.jsonl").write_bytes(as_json_lines(rows))
    (tmp_path / "r.jsonl").write_bytes(as_json_lines([{"prompt": "1?", "model": "m", "text": "1"}]))
    given = {"type": "file", "path": "p.jsonl"}
    sources = [{"type": "responses", "path": "r.jsonl"}]
    recipe = parse({"domain": "instruct", "prompts": [given], "sources": sources, "select": {"margin": None}}, "r", tmp_path)
    heard = Heard()
    assert check(recipe, None, heard) == []
    assert "4 rows read, 1 dropped" in heard.said
    assert "1 row of p.jsonl dropped: no prompt and no messages (the first: p.jsonl: line 2)" in heard.warnings


def test_what_was_left_out_is_in_the_run_and_on_its_card(tmp_path: Path) -> None:
    """A build is over long before somebody asks what is in its data; a build of a mended file has nothing to say."""
    better = GOOD | {"text": "2", "score": 2}
    rows = [GOOD, better, GOOD | {"prompt": None}, GOOD | {"prompt": None}, GOOD | {"prompt": "2?"}, GOOD | {"text": 3}]
    run, recipe = tmp_path / "run", recipe_of(tmp_path, "r.jsonl", on_bad_row="drop")
    (tmp_path / "r.jsonl").write_bytes(as_json_lines(rows))
    said = [
        "2 rows of r.jsonl dropped: no prompt and no messages (the first: r.jsonl: line 3 (prompt_id a))",
        f"1 row of r.jsonl dropped: {TAKEN} (the first: r.jsonl: line 5 (prompt_id a))",
        "1 row of r.jsonl dropped: text must be text (the first: r.jsonl: line 6 (prompt_id a))",
    ]
    build(recipe, run, Options(), Heard())
    export_runs([run], tmp_path / "out", Wish())
    for folder in (run, tmp_path / "out", run / "dpo"):
        report = inspect(folder)
        assert [note.n for note in report.notes] == [2, 1, 1] and [one for one in report.warnings if "r.jsonl" in one] == said
    for folder in (run / "sft", run / "dpo", tmp_path / "out"):
        card = (folder / "README.md").read_text()
        assert [line for line in card.splitlines() if "r.jsonl" in line] == [f"- {one}" for one in said]
    (tmp_path / "r.jsonl").write_bytes(as_json_lines(rows[:2]))
    build(recipe, run, Options(), Heard())
    assert inspect(run).notes == [] and "r.jsonl" not in (run / "dpo" / "README.md").read_text()
