"""The target among the sources: its own pairs, the best answer of the others beside them, and no demo of its own."""

import json
import shutil

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.audit.inspect import inspect
from datakit.errors import BadInput
from tests.helpers.command import datakit, recipe_over, write_problems, write_recipe
from tests.helpers.imported_runs import answered, imported_run
from tests.helpers.laws import examples
from tests.select.test_rule import by_score, domain_names, many_answers, right, select, usable, wrong
from tests.select.test_rule import domains as domains  # the kinds of domains that stand for real ones

ANSWERS = [
    # p: the target has both; b's best right answer is better than a's, and than the target's own
    right("p", "t", 0.5), right("p", "t", 0.4), wrong("p", "t", 0.2), wrong("p", "t", 0.3),
    right("p", "a", 0.6), right("p", "b", 0.9), wrong("p", "b", 0.0), wrong("p", "a", 0.95),
    # q: no source is right; r: the target is never right; s: only the target is right, and never wrong
    right("q", "t", 0.5), wrong("q", "t", 0.2), wrong("q", "a", 0.9),
    wrong("r", "t", 0.2), right("r", "a", 0.7), wrong("r", "a", 0.1),
    right("s", "t", 0.5),
]  # fmt: skip


def triples(selected):
    """By prompt: the pair's models and scores, and the score of the source's answer."""
    taken = zip(selected.pairs, selected.rows["source_chosen_score"], strict=True)
    return {c.prompt: (c.model, c.score, r.model, r.score, score) for (c, r, _), score in taken}


def test_the_targets_own_pair_with_the_best_answer_of_the_others():
    found = select(ANSWERS, target="t")
    assert triples(found) == {"p": ("t", 0.5, "t", 0.2, 0.9)}
    assert {prompt: lost for (prompt, _), lost in found.lost.items()} == {
        "p": None, "q": "no right answer of a source", "r": "no right answer", "s": "no wrong answer",
    }  # fmt: skip
    assert {demo.prompt: demo.model for demo in found.demos} == {"r": "a"}, (
        "the target gives no demo, also where it alone is right"
    )


def test_without_a_target_nothing_stands_beside_a_pair():
    found = select(ANSWERS)
    assert found.rows["source_chosen_id"].null_count() == len(found.pairs) > 1


@pytest.mark.parametrize(("pairing", "pair"), [
    ("any_source", ("t", 0.5, "t", 0.2, 0.9)),
    ({"chosen": ["b"], "rejected": ["t"]}, ("b", 0.9, "t", 0.2, 0.9)),
    ({"chosen": ["t"], "rejected": ["b"]}, ("t", 0.5, "b", 0.0, 0.9)),
    ({"chosen": ["t", "a"], "rejected": ["t", "b"]}, ("a", 0.6, "b", 0.0, 0.9)),
], ids=str)  # fmt: skip
def test_the_target_may_stand_on_either_side(pairing, pair):
    assert triples(select(ANSWERS, target="t", pairing=pairing))["p"] == pair


def test_all_rules_hold_for_its_pairs():
    assert triples(select(ANSWERS, target="t", margin=[0.1, 0.2])) == {}
    assert triples(select(ANSWERS, target="t", margin=[0.1, 0.25], search="feasible"))["p"] == ("t", 0.5, "t", 0.3, 0.9)
    found = select(ANSWERS, target="t", split="hash", sft_share=1.0, demos_per_prompt="all")
    assert found.pairs == [] and {(demo.prompt, demo.model) for demo in found.demos} == {("p", "a"), ("p", "b"), ("r", "a")}


def test_a_sources_answer_is_not_the_rejected_one():
    """Without a verifier a source may have written the target's worst answer."""
    same = [right("p", "t", 0.5), right("p", "t", 0.1, text="x"), right("p", "a", 0.1, text="x")]
    assert select(same, "unchecked", target="t").lost[("p", "t")] == "same text"


OWN = {"chosen": ["a"], "rejected": ["a"]}
SIDES = ("same_source", "any_source", {"chosen": ["b", "c"], "rejected": ["a"]}, {"chosen": ["a"], "rejected": ["b"]})


@examples(14)
@given(many_answers(), domain_names, st.booleans(), st.sampled_from(SIDES))
def test_the_sql_is_the_rule_in_plain_python(answers, domain, judged, pairing):
    sides = pairing if isinstance(pairing, dict) else OWN
    if not {"a", *sides["chosen"], *sides["rejected"]} <= {answer.model for answer in answers}:
        return
    best, worst = usable(answers, domain, judged)
    expected = {}
    for prompt in {answer.prompt for answer in best}:
        right_ones = [a for a in best if a.prompt == prompt and a.model in sides["chosen"]]
        wrong_ones = [a for a in worst if a.prompt == prompt and a.model in sides["rejected"]]
        others = [a for a in best if a.prompt == prompt and a.model != "a"]
        if right_ones and wrong_ones and others:
            chosen, source = (min(group, key=lambda a: by_score(a, judged, -1)) for group in (right_ones, others))
            rejected = min(wrong_ones, key=lambda a: by_score(a, judged, 1))
            verified = domain != "unchecked" or (judged and chosen.score > rejected.score)
            if verified and rejected.content not in (chosen.content, source.content):
                expected[prompt] = (chosen.id, rejected.id, source.id)
    found = select(answers, domain, judged, target="a", pairing=pairing)
    ids = found.rows.select("prompt_id", "chosen_id", "rejected_id", "source_chosen_id").rows()
    assert {prompt: tuple(three) for prompt, *three in ids} == expected
    assert all(demo.model != "a" for demo in found.demos)


def test_a_target_that_is_no_source_is_refused():
    with pytest.raises(BadInput, match=r"select\.target: 'z' is not a source of this run; the sources are a, b, t"):
        select(ANSWERS, target="z")


def test_a_build_says_so_before_anything_is_asked(tmp_path):
    recipe = recipe_over("http://127.0.0.1:9/v1", write_problems(tmp_path / "p.jsonl", 1)) | {"select": {"target": "z"}}
    done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
    assert done.returncode == 2 and "select.target: 'z' is none of the recipe's sources: fake/one" in done.stderr
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------------------------------ a folder

ROWS = [
    row
    for at in range(6)
    for model, scores in (("target", (0.5, 0.2, 0.3)), ("m/one", (0.6, 0.1)), ("m/two", (0.4 + 0.1 * at, 0.0)))
    for row in answered(f"question {at}", *((f"{model} says {score} to {at}", score) for score in scores), model=model)
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return imported_run(tmp_path_factory.mktemp("runs") / "second", ROWS, select={"target": "target", "split": "pairs_first"})


def test_the_folder_has_pairs_and_what_stands_beside_them(run):
    rows = pl.read_parquet(run / "wrpo" / "train.parquet")
    manifest = json.loads((run / "wrpo" / "manifest.json").read_text())
    assert (manifest["kind"], manifest["rows"], rows.height, (run / "dpo").exists()) == ("wrpo", 6, 6, False)
    for row in rows.to_dicts():
        asked = int(row["prompt"][-1]["content"].removeprefix("question "))
        assert (row["model"], row["chosen_score"], row["rejected_score"]) == ("target", 0.5, 0.2)
        assert row["chosen"][0]["content"] == f"target says 0.5 to {asked}"
        assert row["source_chosen_score"] == pytest.approx(max(0.6, 0.4 + 0.1 * asked))
        assert asked == 2 or row["source_model"] == ("m/one" if asked < 2 else "m/two")
        said = row["source_chosen"][0]["content"]
        assert said.startswith(f"{row['source_model']} says") and said.endswith(f"to {asked}")
    card = (run / "wrpo" / "README.md").read_text()
    assert "# 6 triples for WRPO" in card and "Each pair comes with the best answer of the other source models" in card


def test_it_is_read_as_pairs_too(run):
    from train.data import open_data

    assert open_data(run / "wrpo", "wrpo").rows == open_data(run / "wrpo", "dpo").rows == 6
    assert inspect(run / "wrpo").tables == {"pairs": 6}
    assert inspect(run).tables["pairs"] == 6 and not [said for said in inspect(run).warnings if "out of date" in said]


def test_it_comes_and_goes_with_the_target(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    assert datakit("select", copy, "--set", "select.target=null").returncode == 0
    assert (copy / "dpo").is_dir() and not (copy / "wrpo").exists()
    refused = datakit("export", run, copy, tmp_path / "both")
    assert refused.returncode == 2 and "its pairs are triples (select.target)" in " ".join(refused.stderr.split())
    assert datakit("export", run, tmp_path / "one").returncode == 0
    assert pl.read_parquet(tmp_path / "one" / "wrpo" / "train.parquet").height == 6
