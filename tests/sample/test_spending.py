"""What samples took: responses in, sums out; the budget's sentence; the table at the end of a build."""

from __future__ import annotations

import doctest
import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from datakit import wording
from datakit.errors import RecipeError
from datakit.progress import Progress
from datakit.recipe import Budget, parse
from datakit.sample import spending
from datakit.sample.spending import SourceSpent, Spent, over_budget, source_labels, total
from datakit.screen.costs import draw_spending
from datakit.store import Run
from datakit.tables import TABLES
from tests.helpers.command import recipe_over
from tests.helpers.laws import examples

PRICE = {"input": 2.0, "output": 10.0}


def recipe_with(tmp_path, *changes, **sections):
    """A recipe with one source for each dict of changes."""
    values = recipe_over("http://127.0.0.1:9/v1", tmp_path / "none.jsonl")
    values["sources"] = [values["sources"][0] | change for change in changes or ({},)]
    return parse(values | sections, name="r.yaml", folder=tmp_path)


def rows_by(source, requests, tokens=7, model=None, sampling=None):
    """Rows of requests given as (prompt_id, seed, prompt tokens, number of choices)."""
    return [
        {
            "response_id": f"{model or source.model}/{sampling or source.sampling_text}/{prompt_id}/{seed}/{at}",
            "prompt_id": prompt_id,
            "model": model or source.model,
            "revision": source.revision,
            "sampling": sampling or source.sampling_text,
            "sample_index": at,
            "seed": seed,
            "text": "x",
            "n_prompt_tokens": prompt_tokens,
            "n_tokens": tokens,
        }
        for prompt_id, seed, prompt_tokens, n in requests
        for at in range(n)
    ]


def spent_by(folder, recipe, rows, prompts=2):
    """`spending` of a run with these responses."""
    with Run.create(folder) as run:
        asked = [{"prompt_id": f"p{at}", "messages": [], "messages_digest": f"d{at}"} for at in range(prompts)]
        asked += [asked[0] | {"prompt_id": "the same question"}, asked[0] | {"prompt_id": "x", "dropped": "no gold"}]
        asked[-1]["messages_digest"] = "dropped"
        run.replace("prompts", TABLES["prompts"].frame(asked))
        wanted = [
            {"model": s.model, "revision": s.revision, "sampling": s.sampling_text, "type": s.type, "n": s.n}
            for s in recipe.sampled
        ]
        run.replace("sources", TABLES["sources"].frame(wanted))
        run.append("responses", rows)
        return spending.spending(run, recipe)


COUNTS = ["n_wanted", "n_responses", "n_requests", "n_uncounted", "prompt_tokens", "completion_tokens", "cost"]
CASES = {
    "nothing yet": ([], (10, 0, 0, 0, 0, 0, 0.0)),
    "one request of five choices": ([("p0", 1, 100, 5)], (10, 5, 1, 0, 100, 35, 0.00055)),
    "five requests of one": ([("p0", seed, 100, 1) for seed in range(5)], (10, 5, 5, 0, 500, 35, 0.00135)),
    "a shortfall asked for again": ([("p0", 1, 100, 3), ("p0", 9, 100, 2)], (10, 5, 2, 0, 200, 35, 0.00075)),
    "the same seed for two prompts": ([("p0", 1, 100, 2), ("p1", 1, 50, 2)], (10, 4, 2, 0, 150, 28, 0.00058)),
    "no count of the prompt": ([("p0", 1, None, 2), ("p1", 1, 50, 1)], (10, 3, 2, 2, 50, 21, 0.00031)),
}


@pytest.mark.parametrize("requests, expected", CASES.values(), ids=CASES.keys())
def test_prompt_tokens_are_counted_once_a_request(tmp_path, requests, expected):
    recipe = recipe_with(tmp_path, {"price": PRICE})
    [spent] = spent_by(tmp_path / "run", recipe, rows_by(recipe.sampled[0], requests))
    assert tuple(getattr(spent, count) for count in COUNTS) == pytest.approx(expected)


def test_sources_are_told_apart_and_imported_responses_cost_nothing(tmp_path):
    recipe = recipe_with(
        tmp_path, {"price": PRICE}, {"model": "fake/two", "revision": "r1"}, {"system": "Short.", "price": PRICE}
    )
    one, two, short = recipe.sampled
    rows = rows_by(one, [("p0", 1, 10, 2)]) + rows_by(two, [("p0", 1, 20, 2)]) + rows_by(short, [("p0", 1, 40, 2)])
    rows += rows_by(one, [("p0", 1, 80, 2)], sampling='{"temperature":2}')  # a changed recipe
    rows += rows_by(two, [("p0", 1, 160, 2)], model="gone/model")  # no longer in it
    rows += rows_by(one, [("p0", 1, 999, 2)], sampling="imported")
    spent = spent_by(tmp_path / "run", recipe, rows)
    found = {(one.model, one.sampling): (one.prompt_tokens, one.n_wanted, one.cost) for one in spent}
    assert found == {
        ("fake/one", one.sampling_text): (10, 10, pytest.approx(0.00016)),
        ("fake/two", two.sampling_text): (20, 10, None),
        ("fake/one", short.sampling_text): (40, 10, pytest.approx(0.00022)),
        ("fake/one", '{"temperature":2}'): (80, None, pytest.approx(0.0003)),
        ("gone/model", two.sampling_text): (160, None, None),
    }
    whole = total(spent)
    assert (whole.prompt_tokens, whole.completion_tokens) == (310, 70) and whole.cost == pytest.approx(0.00068)


def test_what_is_not_wanted_now_is_in_the_sums_and_said(tmp_path):
    """Samples beyond n, and of prompts that are out of the dataset: with them a source is not complete that lacks others."""
    recipe = recipe_with(tmp_path)
    by_prompt = [("p0", "d0", 7), ("the same question", "d0", 1), ("p1", "d1", 2), ("x", "dropped", 4), ("old", None, 1)]
    rows = [
        row | {"messages_digest": digest}
        for prompt_id, digest, n in by_prompt
        for row in rows_by(recipe.sampled[0], [(prompt_id, 1, 10, n)])
    ]
    [spent] = spent_by(tmp_path / "run", recipe, rows)
    assert (spent.n_responses, spent.n_wanted, spent.n_there) == (15, 10, 9), "of the old run no digest is known"
    page = drawn([spent])
    assert ["one", "9", "of", "10", "5", "50", "105"] in [line.split() for line in page.splitlines()]
    assert "6 responses of sources above are not wanted now: they stay, and took their part of the tokens" in page


@examples(8)
@given(split=st.lists(st.integers(1, 6), max_size=8), prompt_tokens=st.integers(0, 10_000))
def test_however_samples_are_split_into_requests(tmp_path_factory, split, prompt_tokens):
    recipe = recipe_with(tmp_path_factory.getbasetemp())
    requests = [(f"p{at // 2}", at, prompt_tokens, n) for at, n in enumerate(split)]
    [spent] = spent_by(tmp_path_factory.mktemp("run"), recipe, rows_by(recipe.sampled[0], requests))
    assert (spent.n_responses, spent.n_requests, spent.prompt_tokens) == (
        sum(split),
        len(split),
        prompt_tokens * len(split),
    )


# ------------------------------------------------------------------------------------------------------------------ budgets

SENTENCES = [
    (Budget(), Spent(10**9, 10**9, 1e9), None),
    (Budget(tokens=100), Spent(60, 39), None),
    (Budget(tokens=100), Spent(60, 40), r"budget\.tokens: .* has taken 100 tokens of 100 \(60 tokens in, 40 out\)"),
    (Budget(cost=1.5), Spent(60, 40, 1.49), None),
    (Budget(cost=1.5), Spent(60, 40, 1.5), r"budget\.cost: .* has cost 1\.50 of 1\.50 \(60 tokens in, 40 out\)"),
    (Budget(tokens=1000, cost=1.5), Spent(60, 40, 2), r"budget\.cost"),
]


@pytest.mark.parametrize("budget, spent, sentence", SENTENCES)
def test_a_used_up_budget_says_what_was_taken(budget, spent, sentence):
    said = over_budget(budget, spent)
    assert (said is None) == (sentence is None)
    if sentence:
        assert re.search(sentence, said), said


def test_a_budget_of_cost_needs_a_price(tmp_path):
    with pytest.raises(RecipeError, match=r"r\.yaml: budget\.cost needs prices: give sources a price, or set budget\.tokens"):
        recipe_with(tmp_path, budget={"cost": 5.0})
    assert recipe_with(tmp_path, {"price": PRICE}, budget={"cost": 5.0}).budget.cost == 5.0
    assert recipe_with(tmp_path, budget={"tokens": 5}).budget.tokens == 5


# ---------------------------------------------------------------------------------------------------------------- the table


def drawn(spent: list[SourceSpent], this_build=Progress(), width=120) -> str:  # noqa: B008
    written = StringIO()
    draw_spending(spent, this_build, Console(file=written, width=width, color_system=None))
    return written.getvalue()


def test_the_table_has_sums_this_build_and_what_was_not_counted(tmp_path):
    recipe = recipe_with(tmp_path, {"price": PRICE}, {"system": "Short."}, {"model": "org/quiet"})
    rows = rows_by(recipe.sampled[0], [("p0", 1, 990, 5)]) + rows_by(recipe.sampled[1], [("p0", 1, None, 1)])
    rows += rows_by(recipe.sampled[0], [("p0", 1, 80, 2)], sampling='{"temperature":2}')
    spent = spent_by(tmp_path / "run", recipe, rows)
    lines = [line.split() for line in drawn(spent, Progress(done=5, requests=1, prompt_tokens=990)).splitlines()]
    assert ["one", "(1)", "5", "of", "10", "1", "990", "35", "0.0023"] in lines
    assert ["one", "(2)", "1", "of", "10", "1", "0", "7", "-"] in lines
    assert ["no", "longer", "wanted", "2", "1", "80", "14", "0.0003"] in lines
    assert ["quiet", "0", "of", "10", "0", "0", "0", "-"] in lines
    assert ["all", "8", "3", "1,070", "56", "0.0026"] in lines
    assert ["in", "this", "build", "5", "1", "990", "0"] in lines
    assert "1 response came without token counts" in drawn(spent)
    assert "this build" not in drawn(spent), "of one that asked nothing there is nothing to say"
    assert "this build" not in drawn(spent, Progress(done=8, requests=3, prompt_tokens=1070, completion_tokens=56))


def test_without_samples_there_is_no_table_and_without_prices_no_cost(tmp_path):
    recipe = recipe_with(tmp_path)
    assert drawn(spent_by(tmp_path / "none", recipe, [])) == ""
    assert "cost" not in drawn(spent_by(tmp_path / "run", recipe, rows_by(recipe.sampled[0], [("p0", 1, 9, 1)])))


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_table_fits(tmp_path, width):
    recipe = recipe_with(tmp_path, {"price": PRICE, "model": "some-organisation/a-model-with-quite-a-long-name-2407-instruct"})
    spent = spent_by(tmp_path / "run", recipe, rows_by(recipe.sampled[0], [("p0", 1, 10**9, 1)], tokens=10**9))
    lines = drawn(spent, width=width).splitlines()
    assert max(map(len, lines)) <= width and "…" not in "".join(lines)


def test_labels_number_the_ways_of_one_model(tmp_path):
    recipe = recipe_with(tmp_path, {}, {"system": "Short."}, {"model": "fake/two"})
    assert list(source_labels(recipe).values()) == ["fake/one (1)", "fake/one (2)", "fake/two"]


@pytest.mark.parametrize("module", [spending, wording], ids=lambda module: module.__name__)
def test_examples_in_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0
