"""Several judges: imported scores, mean ranks, windows from the run's own margins, and what `inspect` says of all of them."""

import json
import shutil
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.audit import queries
from datakit.audit.inspect import inspect
from datakit.audit.report import Use
from datakit.domains import DOMAINS, domain_of
from datakit.errors import BadInput, RecipeError
from datakit.export import Wish, export_runs
from datakit.options import Options
from datakit.recipe import Unverified, parse, resolve
from datakit.rewards.judges import chosen_judge, judges
from datakit.screen.console import open_console
from datakit.screen.report import draw
from datakit.select.rule import rule_of
from datakit.stages import build, reselect
from datakit.store import Run, load_sql
from datakit.tables import Rows, digest
from tests.audit.test_audit import look
from tests.helpers.folders import CASES
from tests.helpers.laws import examples
from tests.helpers.monitors import Heard


def asked(sql, tables, **params):
    """The rows of a statement over tables that are lists of dicts."""
    connection = duckdb.connect()
    for name, rows in tables.items():
        connection.execute(f"CREATE TABLE {name} AS SELECT unnest($rows, max_depth := 2)", {"rows": rows})
    return connection.sql(load_sql(sql), params=params).pl().to_dicts()


# ------------------------------------------------------------------------------------------------- quantiles of margins


def window(margins, low, high):
    tables: dict[str, Rows] = {"matched": [{"margin": float(margin), "lost": None} for margin in margins]}
    tables["matched"] += [{"margin": 99.0, "lost": "same text"}, {"margin": None, "lost": "no wrong answer"}]
    [row] = asked("select/select_window", tables, low=low, high=high)
    return row["margin_low"], row["margin_high"]


WINDOWS = [  # margins, quantiles, ends by hand: the smallest margin that a share of the candidates does not pass
    (range(1, 11), (0.1, 0.9), (1, 9)),
    (range(1, 11), (0.0, 1.0), (1, 10)),
    (range(1, 11), (0.11, 0.89), (2, 9)),
    (range(1, 101), (0.29, 0.58), (29, 58)),  # 0.29 * 100 is 28.999999999999996, 0.58 * 100 is 57.99999999999999
    ([1, 2], (0.1, 0.9), (1, 2)),
    ([5], (0.1, 0.9), (5, 5)),
    ([3, 1, 2, 2, 2], (0.3, 0.5), (2, 2)),
    ([-2, -1, 0], (0.0, 0.5), (-2, -1)),
    ([], (0.1, 0.9), (None, None)),
]


@pytest.mark.parametrize(("margins", "quantiles", "ends"), WINDOWS)
def test_a_window_of_quantiles(margins, quantiles, ends):
    assert window(margins, *quantiles) == ends


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=25),
    st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted).filter(lambda q: q[0] < q[1]),
)
def test_a_window_of_quantiles_keeps_at_least_its_share(margins, hundredths):
    low, high = window(margins, hundredths[0] / 100, hundredths[1] / 100)
    assert {low, high} <= set(margins)
    kept = sum(low <= margin <= high for margin in margins)
    assert kept >= Fraction(hundredths[1] - hundredths[0], 100) * len(margins)


# ---------------------------------------------------------------------------------------------------------- mean ranks


def mean_ranks(scores, names=("a", "b"), repeated=(), excluded=()):
    """{response: mean rank} of {response: {judge: score}}; a response's prompt is its first letter."""
    connection = duckdb.connect()
    connection.execute(load_sql("views/id_number"))
    connection.execute(
        "CREATE TABLE answers "
        "(prompt_no INTEGER, response VARCHAR, id UHUGEINT, scored BOOL, repeated BOOL, flagged BOOL, score DOUBLE)"
    )
    ids = {response: digest(response) for response in scores}
    connection.executemany(
        "INSERT INTO answers SELECT ?, ?, id_number(?), ?, ?, ?, NULL",
        [[ord(r[0]), r, ids[r], set(names) <= by_judge.keys(), r in repeated, r in excluded] for r, by_judge in scores.items()],
    )
    rows = [[ids[r], j, float(s)] for r, by_judge in scores.items() for j, s in by_judge.items()]
    connection.execute("CREATE TABLE scores (response_id VARCHAR, judge VARCHAR, score DOUBLE)")
    connection.executemany("INSERT INTO scores VALUES (?, ?, ?)", rows)
    connection.execute(load_sql("select/rank_answers"), {"judges": list(names)})
    return dict(connection.execute("SELECT response, score FROM answers").fetchall())


def test_the_mean_rank_is_the_share_of_other_answers_that_an_answer_outscores():
    scores = {"p1": {"a": 1, "b": 5}, "p2": {"a": 2, "b": 5}, "p3": {"a": 3, "b": 9}, "q1": {"a": 0, "b": 0}}
    assert mean_ranks(scores) == {"p1": 0.125, "p2": 0.375, "p3": 1.0, "q1": 0.5}  # a: 0 1/2 1, b: 1/4 1/4 1; q1 is alone


def test_only_answers_that_all_judges_scored_have_a_mean_rank():
    """p2 lacks a score of b, p3 repeats a text or was excluded, and judge c is none of the recipe's."""
    scores = {"p1": {"a": 1, "b": 1, "c": 9}, "p2": {"a": 0}, "p3": {"a": 1, "b": 1}, "p4": {"a": 2, "b": 0}}
    for left_out in ({"repeated": {"p3"}}, {"excluded": {"p3"}}):
        assert mean_ranks(scores, **left_out) == {"p1": 0.5, "p2": None, "p3": None, "p4": 0.5}


some_scores = st.dictionaries(
    st.sampled_from([f"{prompt}{at}" for prompt in "pq" for at in range(5)]),
    st.fixed_dictionaries({"a": st.integers(-3, 3), "b": st.integers(-3, 3)}),
    min_size=1,
)


@examples(8)
@given(some_scores, st.sampled_from([lambda x: 7 * x - 100, lambda x: x**3, lambda x: 2.0**x]))
def test_a_monotone_change_of_one_judge_changes_no_mean_rank(scores, change):
    changed = {response: by_judge | {"a": change(by_judge["a"])} for response, by_judge in scores.items()}
    assert mean_ranks(changed) == mean_ranks(scores)


@examples(8)
@given(some_scores)
def test_mean_ranks_in_plain_python(scores):
    def beaten(response, judge):
        others = [other for other in scores if other[0] == response[0] and other != response]
        mine = scores[response][judge]
        points = [Fraction((mine > scores[o][judge]) + (mine >= scores[o][judge]), 2) for o in others]
        return sum(points) / len(points) if points else Fraction(1, 2)

    ranks = mean_ranks(scores)
    assert ranks == {r: float((beaten(r, "a") + beaten(r, "b")) / 2) for r in scores}
    assert mean_ranks(dict(reversed(scores.items()))) == ranks


# ------------------------------------------------------------------------------------------- a run with imported scores

ROWS = [  # prompt, model, text, score of x, score of y
    ("p", "a", "one", 1.0, 0.3), ("p", "a", "two", 2.0, 0.2), ("p", "a", "three", 5.0, 0.1),
    ("p", "b", "four", 3.0, 0.5), ("p", "b", "five", 3.0, 0.9),
    ("q", "a", "six", 9.0, 0.0), ("q", "a", "seven", 4.0, None), ("q", "b", "eight", 4.0, 0.7),
]  # fmt: skip


def write_rows(path, column, rows=ROWS):
    at = {"x": 3, "y": 4}[column]
    lines = [{"prompt_id": r[0], "prompt": f"{r[0]}?", "model": r[1], "text": r[2], "points": r[at]} for r in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def imported_recipe(folder, score=None, domain="instruct", names=("x",), **select):
    sources = [{"type": "responses", "path": f"{name}.jsonl", "judge": name, "columns": {"score": "points"}} for name in names]
    values = {"domain": domain, "sources": sources, "score": score, "select": select}
    return parse(values, "r", folder)


def built(folder, recipe, until="select"):
    watch = Heard()
    watch.warnings += build(recipe, folder / "run", Options(until=until), watch).warnings
    return watch


def pairs_of(folder):
    with Run.open(folder / "run") as run:
        return run.query(
            "SELECT c.text AS chosen, r.text AS rejected, p.margin FROM pairs AS p "
            "JOIN responses AS c ON p.chosen_id = c.response_id JOIN responses AS r ON p.rejected_id = r.response_id "
            "ORDER BY chosen"
        ).rows()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A run in which x came with the responses and selects."""
    folder = tmp_path_factory.mktemp("one")
    write_rows(folder / "x.jsonl", "x")
    built(folder, imported_recipe(folder))
    return folder


def test_imported_scores_select_without_any_reward_model(one):
    assert pairs_of(one) == [("six", "seven", 5.0), ("three", "one", 4.0)]
    with Run.open(one / "run") as run:
        [(name, kind, _)] = run.frame("judges").rows()
        assert run.query("SELECT DISTINCT judge FROM scores").rows() == [(name,)]
        assert kind == "x" and name.startswith("x@local-")
        assert chosen_judge(run.recipe()) == name


def test_a_missing_score_is_missing_and_said(tmp_path):
    write_rows(tmp_path / "y.jsonl", "y")
    built(tmp_path, imported_recipe(tmp_path, names=("y",), pairing="any_source"))
    assert pairs_of(tmp_path) == [("eight", "six", 0.7), ("five", "three", pytest.approx(0.8))]
    report = look(tmp_path / "run")
    assert [(judge.scored, judge.unscored, judge.imported) for judge in report.judges] == [(7, 1, True)]
    assert any("came without a score of y@local-" in warning and ": 1;" in warning for warning in report.warnings)


def test_changed_scores_are_another_version_of_the_judge(one, tmp_path):
    shutil.copytree(one / "run", tmp_path / "run")
    write_rows(tmp_path / "x.jsonl", "x", [(*row[:3], -row[3], row[4]) for row in ROWS])
    built(tmp_path, imported_recipe(tmp_path))
    assert pairs_of(tmp_path) == [("one", "three", 4.0), ("seven", "six", 5.0)]
    with Run.open(tmp_path / "run") as run:
        assert run.query("SELECT count(*) AS n, count(DISTINCT judge) AS judges FROM scores").row(0) == (16, 2)
        assert run.frame("judges").height == 1


def test_one_judge_over_two_files(tmp_path):
    for model in "ab":
        write_rows(tmp_path / f"{model}.jsonl", "x", [row for row in ROWS if row[1] == model])
    values = {
        "domain": "instruct",
        "sources": [
            {"type": "responses", "path": f"{model}.jsonl", "judge": "x", "columns": {"score": "points"}} for model in "ab"
        ],
        "select": {"pairing": "any_source"},
    }
    recipe = resolve(parse(values, "r", tmp_path))
    assert list(judges(recipe).values()) == ["x"]
    built(tmp_path, recipe)
    assert [(chosen, margin) for chosen, _, margin in pairs_of(tmp_path)] == [("six", 5.0), ("three", 4.0)]


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"half"', "true", "[1]"])
def test_a_score_that_is_no_number(tmp_path, value):
    write_rows(tmp_path / "x.jsonl", "x")
    lines = (tmp_path / "x.jsonl").read_text().splitlines()
    lines[2] = lines[2].replace("5.0", value)
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    with pytest.raises(BadInput, match=r"x.jsonl: line 3 \(prompt_id p\): score is not a finite number .*; fix it"):
        built(tmp_path, imported_recipe(tmp_path), "collect")


def test_a_file_without_scores(tmp_path):
    write_rows(tmp_path / "x.jsonl", "x", [(*row[:3], None, None) for row in ROWS])
    with pytest.raises(BadInput, match=r"sources\.0\.columns\.score: no row of x\.jsonl has a score of judge 'x'; map its"):
        built(tmp_path, imported_recipe(tmp_path), "collect")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            {"path": "x", "columns": {"score": "s"}},
            "columns.score needs the name of the judge that gave the scores: judge: NAME",
        ),
        ({"path": "x", "judge": "mean_rank"}, "'mean_rank' means all judges in select.judge"),
        ({"path": "x", "judge": "a@1"}, "judge"),
        ({"path": "x", "judge": "armorm"}, "'armorm' is the name of a reward model in score"),
    ],
)
def test_judges_that_cannot_be_imported(source, words):
    values = {
        "domain": "instruct",
        "sources": [{"type": "responses", **source}],
        "score": {"type": "armorm", "model": "j", "revision": "1"},
    }
    with pytest.raises(RecipeError) as caught:
        parse(values, "r", Path())
    assert words in str(caught.value)


def test_scores_of_a_dataset_on_the_hub_need_its_revision():
    values: dict[str, Any] = {"domain": "instruct", "sources": [{"type": "responses", "dataset": "org/none", "judge": "x"}]}
    with pytest.raises(RecipeError, match="org/none: scores of judge 'x' need the dataset's revision"):
        resolve(parse(values, "r", Path()))
    values["sources"][0]["revision"] = "abc"
    assert list(judges(resolve(parse(values, "r", Path())))) == ["x@abc"]


def test_a_judge_that_left_the_recipe_shows_no_failures(one, tmp_path):
    """The failures of a reward model that is no longer asked are not the run's any more."""
    shutil.copytree(one / "run", tmp_path / "run")
    with Run.create(tmp_path / "run") as run:
        key = run.frame("responses")["response_id"][0]
        row = {"stage": "score", "key": key, "error": "too_long", "message": "m", "attempts": 1, "permanent": True}
        run.append("failures", [row | {"source": judge} for judge in ("armorm@old", *run.frame("judges")["judge"])])
    assert look(tmp_path / "run").failures == []


# ------------------------------------------------------------------------------------------------ several judges, a report


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A finished run in which x came with the responses and y is a reward model's (its scores are written by hand)."""
    folder = tmp_path_factory.mktemp("two")
    write_rows(folder / "x.jsonl", "x")
    recipe = imported_recipe(folder, judge="x", margin={"quantiles": [0.0, 0.9]})
    built(folder, recipe)
    values = recipe.model_dump(mode="json") | {"score": {"type": "armorm", "model": "m", "revision": "1"}}
    with Run.create(folder / "run") as run:
        y = {row[2]: row[4] for row in ROWS}
        rows = [
            {"response_id": id, "judge": "armorm@1", "score": y[text]}
            for id, text in run.frame("responses").select("response_id", "text").iter_rows()
            if y[text] is not None
        ]
        run.append("scores", rows)
        run.save_recipe(resolve(parse(values, "r", folder)))
        run.replace("judges", run.query("SELECT * FROM judges UNION ALL BY NAME SELECT 'armorm@1' AS judge, 'armorm' AS type"))
    reselect(folder / "run", [], Heard())
    return folder


@pytest.fixture(scope="module")
def report(two):
    return inspect(two / "run")


def test_every_judge_is_described(report):
    armorm, x = report.judges
    assert (armorm.judge, armorm.type, armorm.imported, armorm.selects) == ("armorm@1", "armorm", False, False)
    assert (x.type, x.imported, x.selects) == ("x", True, True)
    names = ("scored", "unscored", "lowest", "median", "highest", "answer_pairs", "tied_pairs", "groups", "flat", "best_shared")
    assert [getattr(armorm, name) for name in names] == [7, 1, 0.0, 0.3, 0.9, 11, 0, 2, 0, 0]
    assert [getattr(x, name) for name in names] == [8, 0, 1.0, 3.5, 9.0, 13, 2, 2, 0, 0]
    of_b = next(source for source in x.sources if source.model == "b")
    assert [getattr(of_b, name) for name in names] == [3, 0, 3.0, 3.0, 4.0, 1, 1, 1, 1, 1]  # four and five tie
    assert sum(x.score_histogram.counts) == 8


def kendall_by_hand(rows):
    """(pairs, alike, unlike) over two answers of one prompt that both judges scored."""
    signs = [
        ((a[3] > b[3]) - (a[3] < b[3])) * ((a[4] > b[4]) - (a[4] < b[4]))
        for a, b in combinations([row for row in rows if row[4] is not None], 2)
        if a[0] == b[0]
    ]
    return len(signs), signs.count(1), signs.count(-1)


def test_how_far_two_judges_agree(report):
    [row] = report.agreement
    n, alike, unlike = kendall_by_hand(ROWS)
    assert (n, alike, unlike) == (11, 4, 6)
    assert (row.answers, row.answer_pairs, row.alike, row.unlike, row.tied) == (7, 11, 4, 6, 1)
    assert row.agreement == 0.4
    assert row.kendall == pytest.approx((4 - 6) / (10 * 11) ** 0.5)
    x, y = [1, 2, 6, 3.5, 3.5, 7, 5], [4, 3, 2, 5, 7, 1, 6]  # ranks of the answers but seven; four and five tie for x
    means = sum(x) / 7, sum(y) / 7
    moment = sum((a - means[0]) * (b - means[1]) for a, b in zip(x, y, strict=True))
    spread = sum((a - means[0]) ** 2 for a in x) * sum((b - means[1]) ** 2 for b in y)
    assert row.spearman == pytest.approx(moment / spread**0.5)


def test_the_margins_that_each_judge_would_give(report):
    margins = {row.judge.partition("@")[0]: row for row in report.margins}
    assert list(margins) == ["armorm", "x", "mean_rank"]
    x = margins["x"]  # candidates: p a 5 - 1, q a 9 - 4
    names = ("candidates", "below", "inside", "above", "prompts", "prompts_below", "prompts_inside", "prompts_above")
    assert [getattr(x, name) for name in names] == [2, 0, 2, 0, 2, 0, 2, 0]
    assert (x.low, x.high, x.deciles[0], x.deciles[5], x.deciles[10]) == (4.0, 5.0, 4.0, 4.5, 5.0)
    assert margins["armorm"].candidates == 2  # p a 0.3 - 0.1, p b 0.9 - 0.5; in q one answer of a source is scored


def test_an_absolute_window_has_two_sides():
    rows = [("p", 0.005), ("p", 0.05), ("q", 0.001), ("r", 0.5), ("s", 0.001), ("s", 0.5), ("t", 0.01), ("u", 0.1)]
    tables = {"matched": [{"prompt_no": prompt, "margin": margin, "lost": None} for prompt, margin in rows]}
    [row] = asked("audit/judge_margins", tables, low=0.01, high=0.1)
    names = ("candidates", "below", "inside", "above", "prompts", "prompts_below", "prompts_inside", "prompts_above")
    assert [row[name] for name in names] == [8, 3, 3, 2, 6, 1, 3, 2]


@pytest.mark.parametrize(
    ("margin", "drawn"),
    [([2.0, float("inf")], "2.000..inf"), pytest.param([float("-inf"), 4.5], "-inf..4.500", marks=pytest.mark.slow)],
)
def test_a_window_may_be_open(tmp_path, capsys, margin, drawn):
    write_rows(tmp_path / "x.jsonl", "x")
    built(tmp_path, imported_recipe(tmp_path, judge="x", margin=margin))
    report = look(tmp_path / "run")
    draw(report, open_console())
    out = " ".join(capsys.readouterr().out.split())
    assert f" x {drawn} candidates " in out and f"margin {margin[0]}..{margin[1]}" in out
    assert report.pairs.count > 0
    export_runs([tmp_path / "run"], tmp_path / "out", Wish())
    for file in (tmp_path / "run" / "recipe.json", tmp_path / "out" / "dpo" / "manifest.json"):
        assert "Infinity" not in file.read_text(), "JSON has no such number"
    with Run.open(tmp_path / "run") as run:
        assert run.recipe().select.margin == margin


def test_mean_rank_selects_and_the_export_says_so(two, tmp_path):
    run = shutil.copytree(two / "run", tmp_path / "run")
    reselect(run, ["select.judge=mean_rank"], Heard())
    export_runs([run], tmp_path / "out", Wish())
    manifest = json.loads((tmp_path / "out" / "dpo" / "manifest.json").read_text())
    assert manifest["judge"] == "mean_rank" and len(manifest["judges"]) == 2
    assert manifest["margin_window"][0] > 0
    assert "mean rank" in (tmp_path / "out" / "dpo" / "README.md").read_text()
    report = look(run)
    assert [judge.selects for judge in report.judges] == [True, True]
    assert report.scores.unscored == 1
    [example] = report.examples
    # of p's answers, by x and y: one 0 2/4, two 1/4 1/4, three 1 0, four 5/8 3/4, five 5/8 1; of source a three (1/2) is the
    # best and one (1/4) and two (1/4) tie for the worst, of source b five (13/16) beats four (11/16)
    assert (example.margin, example.chosen, example.chosen_score) == (0.25, "three", 0.5)


@pytest.mark.parametrize("width", [80, 100])
def test_the_report_draws_all_judges(report, monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    draw(report, open_console())
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "armorm@1" in lines
    assert any(line.startswith("x@local-") and line.endswith("(imported, selects)") for line in lines)
    assert "x 4.000..5.000 candidates 0 2 0" in lines
    assert any(line.startswith("mean_rank") for line in lines)
    assert any("7 -0." in line and "11 40% 9% -0.19" in line for line in lines)


# ----------------------------------------------------------------------------------------------------------- --json's keys

HISTOGRAM = "edges counts"
SCORES_OF = (
    "judge model scored unscored non_finite cut lowest median highest mean deviation length_correlation ranking_accuracy "
    "comparisons answer_pairs tied_pairs groups flat best_shared score_histogram"
)
RESULT = (
    "settings pairs prompts longer longer_share longer_low longer_high length_ratio_geomean margin_mean margin_median "
    "judge_accuracy same_pairs demos demo_chars demo_tokens"
)
LENGTHS_OF = (
    "model pairs chosen_chars chosen_tokens rejected_chars rejected_tokens demos demo_chars demo_tokens slope correlation"
)
KEYS = {  # what scripts of others read: each object's keys in their order, by the way to it
    "": "run tables current notes curation funnel lost answers flags sources pairs scores judges agreement margins duplicates "
    "failures lengths longer_wins examples plotted warnings limits ok",
    "plotted": "shares kinds ways solved matrix lengths accuracy length_cells length_medians margins ranks latency spending",
    "plotted shares": "step model count",
    "plotted matrix": "model rejected_model pairs",
    "plotted lengths": "step side n chars",
    "plotted length_cells": "judge chars_low chars_high score_low score_high answers",
    "plotted margins": "judge model histogram",
    "plotted margins histogram": HISTOGRAM,
    "plotted ranks": "judge other low other_low answers",
    "run": "kind folder domain recipe judge verifier select",
    "run select": "allow_unjudged judge split sft_share demos_per_prompt pass_rate_min pairing target search per_prompt margin "
    "length_adjust length_tier length_ratio_max length_difference_max length_bins flags",
    "run select margin": "quantiles",
    "tables": "prompts overlaps sources responses verdicts scores demos pairs failures flags",
    "current": "prompts overlaps sources responses verdicts scores demos pairs failures flags",
    "funnel": "step prompts lost",
    "funnel lost": "reason prompts",
    "lost": "reason candidates prompts feasible",
    "answers": "use responses",
    "flags": "obeyed prompts responses pairs kept notes",
    "sources": "model revision type n prompts responses distinct most_distinct truncated passed failed timeout error "
    "unparseable unverifiable no_verdict pass_rate mean_score mean_tokens mean_chars "
    "mean_thought_tokens mean_answer_tokens thought_tokens_counted endings residue wanted failures pending pairs demos "
    "score_histogram chars_histogram",
    "sources score_histogram": HISTOGRAM,
    "sources chars_histogram": HISTOGRAM,
    "pairs": "count margin_min margin_median margin_max chosen_longer chosen_longer_share length_ratio_geomean "
    "margin_histogram length_histogram",
    "pairs margin_histogram": HISTOGRAM,
    "pairs length_histogram": HISTOGRAM,
    "scores": "scored unscored non_finite length_correlation ranking_accuracy accuracy_low accuracy_high comparisons",
    "judges": SCORES_OF + " type imported selects failures sources",
    "judges score_histogram": HISTOGRAM,
    "judges sources": SCORES_OF,
    "judges sources score_histogram": HISTOGRAM,
    "agreement": "judge other answers spearman answer_pairs alike unlike tied agreement kendall",
    "margins": "judge candidates below inside above prompts prompts_below prompts_inside prompts_above low high deciles",
    "duplicates": "repeated_responses shared_responses repeated_prompts differing_references",
    "failures": "stage source error permanent count example",
    "lengths": "before after sources_before sources_after",
    "lengths before": RESULT,
    "lengths before settings": "",
    "lengths after": RESULT,
    "lengths after settings": "",
    "lengths sources_before": LENGTHS_OF,
    "lengths sources_after": LENGTHS_OF,
    "longer_wins": "among comparisons wins share low high",
    "examples": "picked prompt_id model rejected_model chosen_id rejected_id margin log_length_ratio chosen_chars "
    "rejected_chars chosen_score rejected_score prompt chosen rejected",
    "examples prompt": "role content",
    "limits": "name value limit ok",
}


def keys_of(value, way=""):
    """(the way to an object, its keys) of every object in the value."""
    if isinstance(value, dict):
        yield way, " ".join(value)
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from keys_of(inner, f"{way} {name}".strip() if isinstance(name, str) else way)


def test_the_keys_of_json_are_a_contract(two, tmp_path):
    shutil.copytree(two / "run", tmp_path / "run")
    with Run.create(tmp_path / "run") as run:
        key = run.query("SELECT response_id FROM responses WHERE text = 'seven'").item()
        failure = {"stage": "score", "key": key, "source": "armorm@1", "error": "too_long", "attempts": 1, "permanent": True}
        run.append("failures", [failure])
        run.append("prompts", [{"prompt_id": "r", "domain": "instruct", "messages": [], "dropped": "no prompt"}])
    export_runs([tmp_path / "run"], tmp_path / "out", Wish())
    found = set(keys_of(inspect(tmp_path / "run").as_json()))
    assert dict(found) == KEYS and len(found) == len(KEYS)
    for folder, tables in (("", "demos pairs"), ("dpo", "pairs"), ("sft", "demos")):
        of_export = set(keys_of(inspect(tmp_path / "out" / folder).as_json()))
        assert of_export <= {*KEYS.items(), ("tables", tables), ("current", tables)}
        assert {("", KEYS[""]), ("pairs", KEYS["pairs"]), ("sources", KEYS["sources"]), ("tables", tables)} <= of_export


def test_a_column_that_the_report_does_not_know_is_an_error(two, monkeypatch):
    monkeypatch.setattr(queries, "load_sql", lambda name: "SELECT 'p' AS use, 1 AS responses, 2 AS more")
    with Run.open(two / "run") as run, pytest.raises(TypeError, match="more"):
        queries.rows(run, "answers", Use)
    monkeypatch.setattr(queries, "load_sql", lambda name: "SELECT 'p' AS use")
    with Run.open(two / "run") as run, pytest.raises(TypeError, match="responses"):
        queries.rows(run, "answers", Use)


# -------------------------------------------------------------------------------------------------- windows for ArmoRM


def said_of_window(recipe):
    return rule_of(recipe, domain_of(recipe)).foreign_window


@pytest.mark.parametrize(
    ("judge", "margin", "warned"),
    [
        ("armorm", [0.01, 0.1], False),
        ("x", [0.01, 0.1], True),
        ("mean_rank", [0.01, 0.1], True),
        ("x", [0.3, 0.9], False),
        ("x", {"quantiles": [0.1, 0.9]}, False),
        ("x", None, False),
    ],
)
def test_a_window_for_armorm_with_another_judge(judge, margin, warned):
    values = {
        "domain": "instruct",
        "sources": [{"type": "responses", "path": "f", "judge": "x", "revision": "1"}],
        "score": {"type": "armorm", "model": "j", "revision": "1"},
        "select": {"judge": judge, "margin": margin},
    }
    said = said_of_window(parse(values, "r", Path()))
    assert (said is not None) == warned
    assert not warned or "{quantiles: [0.1, 0.9]}" in said


def test_scores_imported_as_armorm_are_armorm_s():
    values = {
        "domain": "instruct",
        "sources": [{"type": "responses", "path": "f", "judge": "armorm", "revision": "1"}],
        "select": {"margin": [0.01, 0.1]},
    }
    assert said_of_window(parse(values, "r", Path())) is None


def test_the_warning_is_said_at_select_and_in_the_report(tmp_path):
    write_rows(tmp_path / "x.jsonl", "x")
    watch = built(tmp_path, imported_recipe(tmp_path, margin=[0.01, 0.1]))
    assert any("is a window for ArmoRM's scores" in warning for warning in watch.warnings)
    report = look(tmp_path / "run")
    assert any("is a window for ArmoRM's scores" in warning for warning in report.warnings)
    assert report.margins[0].above == report.margins[0].candidates == 2


@pytest.mark.parametrize(
    ("margin", "said"),
    [
        ({"quantiles": [0.9, 0.1]}, "r: select: margin.quantiles must be [low, high], got [0.9, 0.1]"),
        (
            {"quantiles": [0.1]},
            "r: select.margin.quantiles: list should have at least 2 items after validation, not 1 (got [0.1])",
        ),
        ({"quantiles": [0.1, 1.5]}, "r: select.margin.quantiles.1: input should be less than or equal to 1 (got 1.5)"),
        ({"quantile": [0.1, 0.9]}, "r: select.margin.quantile: extra field not permitted"),
        ([0.2, 0.1], "r: select: margin must be [low, high], got [0.2, 0.1]"),
        ("wide", "r: select.margin: input should be a valid list, or {quantiles: ...} (got 'wide')"),
    ],
)
def test_a_window_that_is_none(margin, said):
    values = {
        "domain": "instruct",
        "sources": [{"type": "responses", "path": "f", "judge": "x"}],
        "select": {"margin": margin},
    }
    with pytest.raises(RecipeError) as caught:
        parse(values, "r", Path())
    assert said in str(caught.value)


# ----------------------------------------------------------------------------------------------------- the instruct domain


@pytest.mark.parametrize(("option", "value"), [("timeout_s", 1.0), ("memory_mb", 512), ("workers", 2), ("units", "strict")])
def test_what_verifies_nothing_takes_no_options_of_verifiers(option, value):
    values = {"domain": "instruct", "sources": [{"type": "responses", "path": "f"}], "verify": {option: value}}
    with pytest.raises(RecipeError, match=rf"verify\.{option} is for domain math.*, this recipe's is instruct \(got"):
        parse(values, "r", Path())


TABLE = CASES / "instruct_prompts.jsonl"


@pytest.mark.parametrize("case", [json.loads(line) for line in TABLE.read_text().splitlines()], ids=lambda case: case["case"])
def test_prompts_need_no_reference(case):
    [prompt] = DOMAINS["instruct"](Unverified()).read([case["row"]], "f")
    assert (prompt.domain, prompt.messages, prompt.reference, prompt.dropped) == (
        "instruct",
        case["messages"],
        case["reference"],
        case["dropped"],
    )


def test_instruct_has_no_verifier_and_says_what_a_build_without_a_judge_gives(tmp_path):
    domain = DOMAINS["instruct"](Unverified())
    assert domain.verifier is None
    write_rows(tmp_path / "x.jsonl", "x")
    recipe = parse({"domain": "instruct", "sources": [{"type": "responses", "path": "x.jsonl"}]}, "r", tmp_path)
    built(tmp_path, recipe)
    report = look(tmp_path / "run")
    assert (report.pairs.count, report.judges, report.agreement, report.margins) == (0, [], [], [])
    assert any(warning.startswith("no pair is possible: the domain has no verifier") for warning in report.warnings)
