"""Exact and near duplicates, held against the definition: every pair, by the Jaccard similarity of all 3-grams."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.curate.duplicates import Comparison
from datakit.curate.texts import common_run, grams, joined, tokens
from datakit.recipe.curate import Duplicates


def compared(folder: Path, texts: list[str], near: float | None, domain: str = "instruct", references: list[str] | None = None):
    """Exact twins, near twins and near pairs, as pairs of places."""
    frame = pl.DataFrame({"text": texts, "reference_digest": references or [""] * len(texts)}).with_row_index("number")
    frame = frame.with_columns(tokens=tokens(pl.col("text")))
    folder.mkdir(exist_ok=True)
    comparison = Comparison(Duplicates(near=near), folder, domain, verified=references is not None)
    for at in range(0, len(texts), 3):  # in several batches
        comparison.add(frame[at : at + 3])
    exact = comparison.exact()
    twins = comparison.near([twin.number for twin in exact])
    pairs = {(met, number) for met, number, _ in comparison.pairs().iter_rows()} if near is not None else set()
    comparison.close()
    return {(twin.met, twin.number) for twin in exact}, {(twin.met, twin.number) for twin in twins}, pairs


@pytest.mark.parametrize(
    ("texts", "references", "expected"),
    [
        (["What is it?", "what  is IT", "What is he?"], None, {(0, 1)}),
        (["\uff37\uff48\uff41\uff54 is it", "What is it"], None, {(0, 1)}),
        (["诸葛亮 是谁?", "诸葛亮是谁"], None, {(0, 1)}),
        (["Same text", "Same text", "Same text"], ["a", "b", "a"], {(0, 2)}),
        (["!!!", "???", "!!!"], None, {(0, 2)}),
        (["", " ", "x"], None, {(0, 1)}),
    ],
)
def test_exact(tmp_path, texts, references, expected):
    assert compared(tmp_path, texts, None, references=references)[0] == expected


LONG = "the quick brown fox jumps over the lazy dog while {} birds watch it from the old tree near the river"


def test_near_and_the_first_stays(tmp_path):
    texts = [
        LONG.format("two"),
        LONG.format("some"),
        "something else entirely that nobody has said before today",
        LONG.format("two") + " bank",
    ]
    exact, twins, _ = compared(tmp_path, texts, 0.7)
    assert (exact, twins) == (set(), {(0, 1), (0, 3)})


def test_in_mathematics_other_numbers_make_another_problem(tmp_path):
    texts = [LONG.format("2"), LONG.format("3"), LONG.format("2") + " bank"]
    assert compared(tmp_path / "a", texts, 0.7, "math")[1] == {(0, 2)}
    assert compared(tmp_path / "b", texts, 0.7, "instruct")[1] == {(0, 1), (0, 2)}


def test_another_reference_makes_another_prompt(tmp_path):
    texts = [LONG.format("two"), LONG.format("two"), LONG.format("two") + " bank"]
    exact, twins, _ = compared(tmp_path, texts, 0.7, references=["a", "b", "b"])
    assert exact == set() and twins == {(1, 2)}


def test_what_is_near_to_a_dropped_one_only_stays(tmp_path):
    """A chain: b is near to a, c to b but not to a. b goes, so c has nothing that it repeats."""
    words = [f"w{at}" for at in range(40)]
    texts = [" ".join(words[:30]), " ".join(words[4:34]), " ".join(words[8:38])]
    _, twins, pairs = compared(tmp_path, texts, 0.7)
    assert pairs == {(0, 1), (1, 2)} and twins == {(0, 1)}


WORDS = st.lists(st.sampled_from("abcdef"), min_size=0, max_size=14)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("laws")


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(WORDS, min_size=2, max_size=8), near=st.sampled_from([0.4, 0.5, 0.7, 0.8, 1.0]))
def test_near_pairs_are_those_of_the_definition(folder, texts, near):
    """The prefix filter loses none and counts none that is not there."""
    (folder / "duplicates.duckdb").unlink(missing_ok=True)
    sets = [{tuple(one[at : at + 3]) for at in range(len(one) - 2)} for one in texts]
    expected = {
        (a, b)
        for a, b in combinations(range(len(texts)), 2)
        if sets[a] and sets[b] and len(sets[a] & sets[b]) >= near * len(sets[a] | sets[b]) - 1e-9
    }
    exact, _, pairs = compared_all(folder, [" ".join(one) for one in texts], near)
    assert pairs == expected and all(texts[a] == texts[b] for a, b in exact)


def compared_all(folder, texts, near):
    """With exact duplicates among the near ones."""
    frame = pl.DataFrame({"text": texts}).with_row_index("number").with_columns(tokens=tokens(pl.col("text")))
    comparison = Comparison(Duplicates(near=near), folder, "instruct", verified=False)
    comparison.add(frame.with_columns(reference_digest=pl.lit("")))
    exact = {(twin.met, twin.number) for twin in comparison.exact()}
    comparison.near([])
    pairs = {(met, number) for met, number, _ in comparison.pairs().iter_rows()}
    comparison.close()
    return exact, set(), pairs


def test_grams_are_sets_and_know_their_rows():
    frame = pl.DataFrame({"number": [7, 8, 9], "tokens": [["a", "b", "a", "b", "a"], ["a", "b"], ["b", "a", "b"]]})
    found = grams(frame, 3)
    assert sorted(found["number"]) == [7, 7, 9]
    shared = set(found.filter(pl.col("number") == 7)["gram"]) & set(found.filter(pl.col("number") == 9)["gram"])
    assert len(shared) == 1, "order counts"


def test_the_text_in_common():
    assert (
        common_run(["x", "we", "all", "like", "red", "tea", "y"], ["so", "we", "all", "like", "red", "wine"])
        == "we all like red"
    )
    assert common_run(["a", "b"], ["a", "b"]) == ""
    assert joined(["诸", "葛", "abc", "1", "亮"]) == "诸葛 abc 1 亮"
