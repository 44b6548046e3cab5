"""Residue: what is found, that nothing else is, that SQL strips as Python does, and that old runs have the column, too."""

from __future__ import annotations

import collections
import gzip
import json

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.store import Run, load_sql
from datakit.tables.answers import split
from datakit.tables.compared import END_TOKENS
from datakit.tables.repetition import loops, repetition
from datakit.tables.residue import LEADING, TRAILING, find_residue, strip_residue
from tests.helpers.command import datakit
from tests.helpers.imported_runs import answered, imported_run

# The text, what it has, and what is left of it once stripped. Sources: the models' published chat templates (Qwen's ChatML,
# Llama 3's and 2's, Gemma's, Mistral's, Phi's, DeepSeek's), Alpaca's prompt; refusals as such models write them.
FOUND = [
    ("It is 7.</s>", "end token", "It is 7."),
    ("It is 7.\n<|im_end|>\n", "end token", "It is 7."),
    ("<|im_start|>assistant\nIt is 7.<|im_end|>", "role header", "It is 7."),
    ("<|start_header_id|>assistant<|end_header_id|>\n\nIt is 7.<|eot_id|>", "role header", "It is 7."),
    ("assistant\n\nIt is 7.", "role header", "It is 7."),  # Llama 3's header where the server leaves special tokens out
    ("<start_of_turn>model\nIt is 7.<end_of_turn>", "role header", "It is 7."),
    ("### Response:\nIt is 7.", "role header", "It is 7."),
    ("[/INST] It is 7.", "role header", "It is 7."),
    ("It is 7.<|im_end|>\n<|im_start|>user", "role header", "It is 7."),
    ("<\uff5cAssistant\uff5c>It is 7.<\uff5cend\u2581of\u2581sentence\uff5c>", "role header", "It is 7."),
    ("It is 7.<|im_end|>\n<|im_start|>user\nAnd 8?", "template inside", "It is 7.<|im_end|>\n<|im_start|>user\nAnd 8?"),
    ("It is 7.\n\n### Instruction:\nAdd 8.", "template inside", "It is 7.\n\n### Instruction:\nAdd 8."),
    ("I'm sorry, but I can't help with that.", "refusal", "I'm sorry, but I can't help with that."),
    ("I cannot provide guidance on this.</s>", "refusal", "I cannot provide guidance on this."),
    ("As an AI language model, I cannot feel.", "refusal", "As an AI language model, I cannot feel."),
    ("So it is 2.\n" * 30, "loop", "So it is 2.\n" * 30),
    ("We get 1" + "0" * 300 + "</s>", "loop", "We get 1" + "0" * 300),
]
FREE = [
    "It is 7.",
    "  It is 7.\n",
    "In HTML <s>struck</s> is shown so; </s> ends it.",
    "a ### Response: in the middle of a line",
    "The assistant\n\nsaid so.",
    "Sorry, I was wrong before: it is 7.",
    "As an AI language model, I don't have feelings, but here is a poem.",
    "I'm sorry for your loss. You can write to them.",
    "I can't wait! It is 7.",
    "-" * 200,
    "1, 2, 3, " + ", ".join(map(str, range(4, 200))),
    "| a | b |\n| --- | --- |\n" + "".join(f"| {n} | {n * n} |\n" for n in range(40)),
    "x == y\n" * 3,
    "",
]


@pytest.mark.parametrize(("text", "name", "stripped"), FOUND)
def test_what_is_found_and_what_is_left(text, name, stripped):
    assert (find_residue(text), strip_residue(text)) == (name, stripped)


@pytest.mark.parametrize("text", FREE)
def test_what_is_none(text):
    assert find_residue(text) is None and strip_residue(text) == text


def test_a_thought_of_nothing_is_residue():
    assert find_residue("7", " \n") == "empty thought" and find_residue("7", "2 + 5") is None
    assert find_residue(None, "") == "empty thought" and find_residue(None) is None
    assert find_residue("7</s>", "") == "end token"


@given(st.text(max_size=30), st.text(alphabet="ab .\n", min_size=1, max_size=60), st.integers(4, 12))
def test_a_passage_over_and_over_is_a_loop(start, unit, times):
    text = start + unit * times
    assert loops(text) or len(unit * times) < 240
    assert repetition(text) == 1 or not loops(text)


PIECES = [
    *END_TOKENS, *("<|im_start|>", "<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "[/INST]", "<s>"),
    *("### Response:", "assistant", "user", "model", "\n", " ", "\x0b", "\u00a0", "a", "x < y", "\u00e9"),
]  # fmt: skip
pieces = st.sampled_from(PIECES)


@given(st.lists(st.lists(pieces, max_size=10).map("".join), min_size=1, max_size=8))
def test_sql_strips_the_same(texts):
    connection = duckdb.connect()
    connection.execute("SET VARIABLE leading_residue = $p", {"p": LEADING})
    connection.execute("SET VARIABLE trailing_residue = $p", {"p": TRAILING})
    connection.execute(load_sql("views/strip_residue"))
    found = connection.execute("SELECT strip_residue(t) FROM (SELECT unnest($1) AS t)", [texts]).fetchall()
    assert found == [(strip_residue(text),) for text in texts]


ROWS = (
    answered("a?", ("good a</s>", 0.9), ("bad a</s>", 0.1))
    + answered("b?", ("good b", 0.9), ("I cannot help with that.", 0.1))
    + answered("c?", ("same</s>", 0.9), ("same", 0.1))
)


def written(run):
    return {
        (row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in pl.read_parquet(run / "dpo" / "train.parquet").to_dicts()
    }


@pytest.mark.parametrize(
    ("choice", "pairs"),
    [
        ("keep", {("good a</s>", "bad a</s>"), ("good b", "I cannot help with that.")}),
        ("strip", {("good a", "bad a"), ("good b", "I cannot help with that.")}),
        ("drop", set()),
    ],
)
def test_a_source_says_what_is_done_with_it(tmp_path, choice, pairs):
    """Answers that differ by an end token only make no pair whatever is chosen; the stored text stays as it came."""
    run = imported_run(tmp_path / "run", ROWS, {"residue": choice})
    assert written(run) == pairs
    with Run.open(run) as opened:
        stored = opened.query("SELECT text, residue FROM responses ORDER BY text")
    assert sorted(stored["text"]) == sorted(row["text"] for row in ROWS)
    assert dict(stored["residue"].value_counts().iter_rows()) == {"end token": 3, "refusal": 1, None: 2}
    report = json.loads(datakit("inspect", run, "--json").stdout)
    uses = {use["use"]: use["responses"] for use in report["answers"] if use["use"].startswith("residue")}
    assert uses == ({"residue: end token": 2, "residue: refusal": 1} if choice == "drop" else {})
    (source,) = report["sources"]
    held = 0 if choice == "drop" else 1
    assert source["residue"] == [
        {"residue": "end token", "responses": 3, "pairs": held, "choice": choice},
        {"residue": "refusal", "responses": 1, "pairs": held, "choice": choice},
    ]
    said = [text for text in report["warnings"] if "residue in" in text]
    assert len(said) == (2 if choice == "keep" else 0)
    if choice == "keep":
        assert said[0] == (
            "m/one: residue in 3 of 6 answers: end token; 1 pair with one; of the source's options residue: strip leaves it "
            "out of exports, residue: drop leaves such answers out of pairs and demos"
        )


def test_what_is_the_same_once_stripped_makes_no_pair(tmp_path):
    rows = answered("a?", ("<|im_start|>assistant\nIt is 7.<|im_end|>", 0.9), ("It is 7.", 0.1))
    for choice, n in (("keep", 1), ("strip", 0)):
        run = imported_run(tmp_path / choice, rows, {"residue": choice}, limits={"min_pairs": None})
        assert len(written(run)) == n


def test_the_funnel_counts_prompts_that_are_left_without_an_answer(tmp_path):
    run = imported_run(tmp_path / "run", ROWS, {"residue": "drop"}, limits={"min_pairs": None})
    report = json.loads(datakit("inspect", run, "--json").stdout)
    judged = next(step for step in report["funnel"] if step["step"] == "judged")
    assert {"reason": "only answers with residue", "prompts": 1} in judged["lost"]


def test_parts_without_the_column_have_it_as_they_are_read(tmp_path):
    run = imported_run(tmp_path / "run", ROWS)
    with Run.open(run) as opened:
        before = opened.query("SELECT response_id, residue FROM responses ORDER BY response_id")
    for part in (run / "responses").glob("*.parquet"):
        pl.read_parquet(part).drop("residue").write_parquet(part)
    with Run.open(run) as opened:
        assert opened.query("SELECT response_id, residue FROM responses ORDER BY response_id").equals(before)


def test_answers_of_fourteen_real_models(shared_data):
    """One source's answers all end in `</s>`, sixty times more than all loops of the others; nothing else is found in them."""
    found = collections.Counter()
    with gzip.open(shared_data / "responses" / "math.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["response"]:
                parts = split(row["response"])
                found[row["source_model"], find_residue(parts.text, parts.reasoning)] += 1
    assert found["Mistral-Nemo-Instruct-2407", "end token"] == 675
    assert sum(n for (model, name), n in found.items() if name == "end token") == 675
    assert {name for _, name in found} == {None, "end token", "loop"}
    assert found["Meta-Llama-3.1-8B-Instruct", "loop"] == 26
