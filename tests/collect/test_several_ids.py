"""One question under several prompt ids, with other tests or another answer: sampled and imported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datakit.collect.begin import begin
from datakit.collect.inputs import read_inputs
from datakit.domains import Domain
from datakit.domains.code.domain import Code
from datakit.domains.instruct import Instruct
from datakit.domains.math.domain import Math
from datakit.domains.mcq.domain import Mcq
from datakit.dry_run import plan
from datakit.errors import BadInput
from datakit.options import Options
from datakit.recipe import Recipe, parse
from datakit.recipe.verify import Unverified, VerifyCode, VerifyMath, VerifyMcq
from datakit.stages import build
from datakit.store import Run, load_sql
from datakit.tables import IMPORTED, Prompt, Row, Rows, digest_of_messages, make_response_id
from tests.helpers.fake_endpoint import Fake, running
from tests.helpers.monitors import Heard

QUESTION = "What is 1 + 1?"
DIGEST = digest_of_messages([{"role": "user", "content": QUESTION}])
ENDPOINT = {"type": "endpoint", "model": "m", "base_urls": ["http://127.0.0.1:9/v1"]}
TWO_IDS: Rows = [
    {"prompt_id": prompt_id, "prompt": QUESTION, "reference": reference, "model": "m", "text": f"The answer is {answer}."}
    for prompt_id, reference in (("z", "2"), ("a", "3"))
    for answer in (2, 3)
]


def recipe_of(folder: Path, rows: Rows, sources: Rows | None = None, prompts: Rows | None = None) -> Recipe:
    (folder / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given: dict[str, Any] = {"prompts": prompts} if prompts else {}
    sources = sources or [{"type": "responses", "path": "r.jsonl"}]
    values = {"domain": "math", "sources": sources, "select": {"margin": None}, "verify": {"workers": 1}, **given}
    return parse(values, "r.yaml", folder)


def query(run: Path, sql: str) -> list[Any]:
    with Run.open(run) as opened:
        return opened.query(sql).rows()


VERDICTS = """
SELECT r.prompt_id, r.text, v.outcome
FROM current_responses AS r
INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
INNER JOIN verdicts AS v ON r.response_id = v.response_id AND v.reference_digest = p.reference_digest
ORDER BY ALL
"""
PAIRS = """
SELECT p.prompt_id, c.text, r.text
FROM pairs AS p
INNER JOIN responses AS c ON p.chosen_id = c.response_id
INNER JOIN responses AS r ON p.rejected_id = r.response_id
ORDER BY ALL
"""
TWO, THREE = "The answer is 2.", "The answer is 3."


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole build of both ids."""
    folder = tmp_path_factory.mktemp("imported")
    build(recipe_of(folder, TWO_IDS), folder / "run", Options(), Heard())
    return folder / "run"


def test_imported_answers_belong_to_their_prompt(imported: Path) -> None:
    assert query(imported, VERDICTS) == [
        ("a", TWO, "failed"),
        ("a", THREE, "passed"),
        ("z", TWO, "passed"),
        ("z", THREE, "failed"),
    ]
    assert query(imported, PAIRS) == [("a", THREE, TWO), ("z", TWO, THREE)]
    assert query(imported, "SELECT count(*) FROM verdicts") == [(4,)]
    ids = {row[:2]: row[2] for row in query(imported, "SELECT prompt_id, sample_index, response_id FROM responses")}
    plain = {index: make_response_id(DIGEST, "m", None, IMPORTED, index) for index in (0, 1)}
    own = {index: make_response_id(DIGEST, "m", None, IMPORTED, index, "a") for index in (0, 1)}
    assert ids == {("z", 0): plain[0], ("z", 1): plain[1], ("a", 0): own[0], ("a", 1): own[1]}


def test_their_ids_stay_in_whatever_order_the_prompts_come(imported: Path, tmp_path: Path) -> None:
    run, ids = tmp_path / "run", "SELECT prompt_id, sample_index, response_id FROM responses ORDER BY ALL"
    shutil.copytree(imported, run)
    before = query(run, ids)
    turned = recipe_of(tmp_path, [*TWO_IDS[2:], *TWO_IDS[:2], TWO_IDS[0] | {"prompt_id": "b"}])
    plan(turned, run, Options(), Heard())
    build(turned, run, Options("collect"), Heard())
    after = query(run, ids)
    assert [row for row in after if row[0] != "b"] == before
    assert [row[2] for row in after if row[0] == "b"] == [make_response_id(DIGEST, "m", None, IMPORTED, 0, "b")]
    with Run.open(run) as opened:
        missing = opened.query(load_sql("missing/missing_verdicts"), {"verifier": "math@0"})
    assert sorted(missing["reference"]) == ["2", "2", "2", "3", "3"], "each is verified for its own id"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reference": "5"}, "with another reference than the first row of its prompt in"),
        ({"reference": 5}, "with another reference than the first row of its prompt in"),
        ({}, None),
        ({"reference": 2}, None),
        ({"reference": None}, None),
        ({"prompt": None, "messages": [{"role": "user", "content": QUESTION}]}, None),
        (
            {"prompt": None, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]},
            None,
        ),
        ({"prompt": QUESTION + " "}, None),
        ({"prompt": "What is\r\n1  +\u00a01?\n"}, None),
        ({"prompt": " "}, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("index", [{}, {"sample_index": 7.0}], ids=["in columns", "row by row"])
def test_the_first_row_of_a_prompt_id_counts(tmp_path: Path, index: Row, changed: Row, said: str | None) -> None:
    recipe = recipe_of(tmp_path, [TWO_IDS[0], TWO_IDS[1] | {"reference": "2"} | changed | index])
    prompts: list[Prompt] = []
    notes = read_inputs(recipe, Math(VerifyMath()).read, None, prompts.append).notes
    assert [(prompt.prompt_id, prompt.messages_digest, prompt.reference) for prompt in prompts] == [("z", DIGEST, "2")]
    sentences = [note.of(n) for note, n in notes.items()]
    assert len(sentences) == (said is not None)
    if said is not None:
        assert sentences[0].startswith(f"1 row {said}") and sentences[0].endswith(", which counts (the first: prompt_id z)")


OTHER = "What is 1 + 2?"
CHECKS = "def check(candidate): assert candidate() == 2"
NUMBERED: Rows = [
    {"prompt_id": at, "prompt": f"What is {at} + 1?", "reference": at + 1, "model": "m", "text": f"It is {said}."}
    for at in range(3)
    for said in (at + 1, 0)
]


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "What is 1 - 1?"},
        {"prompt": None, "messages": [{"role": "user", "content": OTHER}]},
        {"prompt": None, "messages": json.dumps([{"role": "user", "content": OTHER}])},
        {"prompt": QUESTION, "messages": [{"role": "user", "content": OTHER}]},
        {"prompt": None, "messages": [{"role": r, "content": QUESTION} for r in ("user", "assistant", "user")]},
    ],
    ids=str,
)
@pytest.mark.parametrize("index", [{}, {"sample_index": 7.0}], ids=["in columns", "row by row"])
def test_a_row_that_asks_something_else_is_no_answer(tmp_path: Path, index: Row, changed: Row) -> None:
    """It would be judged against the wrong question. It takes no number either, and the rows after it are read as ever."""
    rows = [*NUMBERED[:3], NUMBERED[3] | changed | index, *NUMBERED[3:]]
    stored: list[Any] = []
    prompts: list[Prompt] = []
    inputs = read_inputs(
        recipe_of(tmp_path, rows), Math(VerifyMath()).read, None, prompts.append, lambda *one: stored.append(one)
    )
    assert [(prompt.prompt_id, prompt.reference) for prompt in prompts] == [("0", "1"), ("1", "2"), ("2", "3")]
    assert inputs.n_responses == 6 and inputs.n_dropped == 1
    dropped = (
        "1 row of r.jsonl dropped: its prompt_id stands for another question already (the first: r.jsonl: line 4 (prompt_id 1))"
    )
    assert [note.of(n) for note, n in inputs.notes.items()] == [dropped]
    recipe = recipe_of(tmp_path, rows, [{"type": "responses", "path": "r.jsonl", "on_bad_row": "stop"}])
    with pytest.raises(BadInput, match=r"r.jsonl: line 4 \(prompt_id 1\): its prompt_id stands for another .*; map prompt_id"):
        read_inputs(recipe, Math(VerifyMath()).read, None, prompts.append)


@pytest.mark.parametrize("files", [["a", "b"], ["ab"]], ids=["two files", "one file"])
def test_ids_that_number_two_datasets_are_an_error(tmp_path: Path, files: list[str]) -> None:
    """Nothing would be left of one of the two."""
    others = [row | {"prompt": f"What is {row['prompt_id']} * 9?"} for row in NUMBERED]
    given = {"a": NUMBERED, "b": others, "ab": NUMBERED + others}
    for name in files:
        (tmp_path / name).with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in given[name]))
    sources: Rows = [{"type": "responses", "path": f"{name}.jsonl"} for name in files]
    n_rows = 6 * (3 - len(files))
    said = (
        rf"r.yaml: sources.{len(files) - 1}.columns.prompt_id.*: the ids of 6 of {n_rows} rows of {files[-1]}.jsonl "
        r"\(the first: .*line \d \(prompt_id 0\)\) stand for other questions already; map prompt_id to"
    )
    with pytest.raises(BadInput, match=said):
        build(recipe_of(tmp_path, [], sources), tmp_path / "run", Options(), Heard())
    assert not (tmp_path / "run").exists()
    by_question: Rows = [source | {"columns": {"prompt_id": "prompt"}} for source in sources]
    build(recipe_of(tmp_path, [], by_question), tmp_path / "run", Options("collect"), Heard())
    assert query(tmp_path / "run", "SELECT count(*), count(DISTINCT prompt_id) FROM responses") == [(12, 6)]


def test_answers_to_prompts_of_another_file_may_have_more_or_less_around_the_question(tmp_path: Path) -> None:
    """The prompts say what is shown around it; another one is no answer here, too."""
    choices = ["one", "two"]
    prompts: Rows = [{"prompt_id": at, "prompt": f"{at} + 1?", "choices": choices, "reference": "A"} for at in range(3)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    shown: Row = {"template": "Choose.\n{prompt}\n{choices}"}
    rows: Rows = [
        {"prompt_id": 0, "prompt": "0 + 1?"},
        {"prompt_id": 0, "prompt": "Think first.\n0  + 1?\nAnswer:"},
        {"prompt_id": 1, "prompt": "1 + 1?", "choices": choices, "reference": "A"},
        {"prompt_id": 2, "prompt": "2 + 1?", "choices": choices},
        {"prompt_id": 2, "prompt": "12 + 1?"},
        {"prompt_id": 2, "prompt": "2 + 1?", "choices": ["one", "three"], "reference": "B"},
        *({"prompt_id": 2} for _ in range(4)),
    ]
    rows = [row | {"model": "m", "text": "A"} for row in rows]
    recipe = recipe_of(tmp_path, rows, prompts=[{"type": "file", "path": "p.jsonl", **shown}])
    inputs = read_inputs(recipe, Mcq(VerifyMcq()).read, None, lambda prompt: None)
    assert [note.of(n).partition(" (")[0] for note, n in inputs.notes.items()] == [
        "2 rows of r.jsonl dropped: its prompt_id stands for another question already"
    ]


@pytest.mark.parametrize(
    ("domain", "lacks", "has"),
    [
        (Math(VerifyMath()), {"reference": None}, {"reference": "2"}),
        (Math(VerifyMath()), {"reference": " "}, {"reference": 2}),
        (Mcq(VerifyMcq()), {"choices": ["1", "2"]}, {"choices": ["1", "2"], "reference": "B"}),
        (Code(VerifyCode()), {}, {"reference": "assert f() == 2"}),
        (Code(VerifyCode()), {"reference": CHECKS}, {"reference": CHECKS, "entry_point": "f"}),
        (Instruct(Unverified()), {}, {"reference": "2"}),
    ],
    ids=["math", "blank", "mcq", "code", "code without its name", "instruct"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["prompts", "ids", "no ids"])
def test_the_first_row_that_has_a_reference_counts(tmp_path: Path, domain: Domain, lacks: Row, has: Row, kind: str) -> None:
    """Rows of one prompt: none, then one, then none again. Nothing is lost, and nothing is said of two references."""
    asked: Row = {"prompt": "1 + 1?"} | ({"prompt_id": "q"} if kind == "ids" else {})
    rows: Rows = [asked | lacks, asked | has, asked | lacks]
    if kind == "prompts":
        recipe = recipe_of(tmp_path, rows, prompts=[{"type": "file", "path": "r.jsonl"}], sources=[ENDPOINT])
    else:
        recipe = recipe_of(tmp_path, [row | {"model": "m", "text": "2"} for row in rows])
    if kind == "prompts" and domain.verifier is None:
        pytest.skip("nothing is dropped, and no answer is held against it")
    with Run.create(tmp_path / "run") as run:
        begun = begin(run, recipe, domain, Options())
        assert [row["dropped"] for _, frame in begun.prompts.frames(10) for row in frame.to_dicts()] == [None]
        [found] = [row["reference"] for _, frame in begun.prompts.frames(10) for row in frame.to_dicts()]
    assert found is not None and str(has["reference"]) in (found, json.loads(found)["answer"] if "choices" in has else found)
    assert not [note.what for note in begun.inputs.notes if "reference" in note.what] and begun.inputs.n_kept == 1


def test_a_mapped_sample_index_stays(tmp_path: Path) -> None:
    rows = [row | {"sample_index": 5 + at // 2} for at, row in enumerate(TWO_IDS) if at % 2 == 0]
    build(recipe_of(tmp_path, rows), tmp_path / "run", Options("collect"), Heard())
    assert query(tmp_path / "run", "SELECT prompt_id, sample_index FROM responses ORDER BY ALL") == [("a", 6), ("z", 5)]


def test_two_models_of_an_old_run_that_share_the_messages_keep_their_ids(tmp_path: Path) -> None:
    """Before, two ids with one text could be imported where their models differ; both had plain ids."""
    rows = [TWO_IDS[0], TWO_IDS[3] | {"model": "n"}]
    run = tmp_path / "run"
    build(recipe_of(tmp_path, rows), run, Options("collect"), Heard())
    with Run.create(run) as opened:
        old = opened.frame("responses").to_dicts()
        for row in old:
            row["response_id"] = make_response_id(DIGEST, row["model"], None, IMPORTED, row["sample_index"])
        [part] = opened.parts("responses")
        part.unlink()
        opened.append("responses", old)
    before = query(run, "SELECT response_id FROM responses ORDER BY ALL")
    build(recipe_of(tmp_path, rows), run, Options("collect"), Heard())
    assert query(run, "SELECT response_id FROM responses ORDER BY ALL") == before


def test_sampled_answers_are_verified_for_every_prompt_that_asks_the_same(tmp_path: Path) -> None:
    """Beside imported ones, which are verified for their own."""
    (tmp_path / "p.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in ({**r, "model": None, "text": None} for r in TWO_IDS[::2]))
    )
    prompts = [{"type": "file", "path": "p.jsonl"}]
    imported = {"type": "responses", "path": "r.jsonl"}
    with running(Fake()) as fake:
        asked = {"type": "endpoint", "model": "fake/one", "base_urls": [fake.url], "n": 2, "request": "single"}
        recipe = recipe_of(tmp_path, TWO_IDS, [asked, imported], prompts)
        build(recipe, tmp_path / "run", Options("verify"), Heard())
        assert fake.n_requests == 2
        build(recipe, tmp_path / "run", Options("sample"), Heard())
        assert fake.n_requests == 2
    verdicts = f"SELECT prompt_id, model, count(*) FROM ({VERDICTS.replace('r.text', 'r.model')}) GROUP BY ALL ORDER BY ALL"
    each = [("fake/one", 2), ("m", 2)]
    assert query(tmp_path / "run", verdicts) == [(prompt_id, *row) for prompt_id in ("a", "z") for row in each]


@pytest.mark.parametrize("more", [{}, {"force_reasoning": True}], ids=["columns", "rows"])
def test_answers_that_name_their_prompt_by_its_id_need_not_repeat_it(more, tmp_path):
    """A number is an id as a reader of columns makes it; an id that no prompt has is counted, and no answer of another one."""
    asked = (("7", QUESTION, "2"), ("b", "What is 2 + 2?", "4"))
    prompts: Rows = [{"prompt_id": at, "prompt": prompt, "reference": reference} for at, prompt, reference in asked]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    answers: Rows = [
        {"prompt_id": prompt_id, "model": "m", "text": f"Hm.</think>The answer is {at}."}
        for at, prompt_id in enumerate((7, "b", 7, "nowhere"))
    ]
    given: Rows = [{"type": "file", "path": "p.jsonl"}]
    recipe = recipe_of(tmp_path, answers, [{"type": "responses", "path": "r.jsonl", **more}], given)
    build(recipe, tmp_path / "run", Options("collect"), Heard())
    found = query(tmp_path / "run", "SELECT prompt_id, sample_index, right(text, 2) FROM responses ORDER BY ALL")
    assert found == [("7", 0, "0."), ("7", 1, "2."), ("b", 0, "1.")]
