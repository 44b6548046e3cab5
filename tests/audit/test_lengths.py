"""What `inspect` says of lengths, with the rule's control and without it, and the table of a sweep."""

import json

import pytest

from datakit.audit.lengths import sweep
from datakit.audit.report import LostCandidates
from datakit.domains import domain_of
from datakit.errors import RecipeError
from datakit.recipe import assign
from datakit.select.rule import rule_in, select
from datakit.store import Run
from datakit.tables.intervals import wilson
from tests.audit.test_audit import look
from tests.helpers.command import datakit
from tests.helpers.imported_runs import answered, imported_run

# score = quality + 0.1 for each doubling of the length; in even prompts the long answer is the better one by itself, too
LENGTHS = {"short": 40, "middle": 80, "long": 320}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rows = []
    for at in range(12):
        for model in ("m/one", "m/two"):
            better = 0.5 if at % 2 == 0 else -0.5
            texts = {name: f"{at} {model} {name} ".ljust(n, "x") for name, n in LENGTHS.items()}
            scores = {
                "short": 0.0 + (model == "m/two"),
                "middle": 0.1 + (model == "m/two"),
                "long": 0.3 + better + (model == "m/two"),
            }
            rows += answered(f"{at}?", *((texts[name], scores[name]) for name in LENGTHS), model=model)
    select = {"length_ratio_max": 2.0, "pairing": "same_source"}
    return imported_run(
        tmp_path_factory.mktemp("lengths") / "run", rows, select=select, limits={"max_chosen_longer_share": None}
    )


@pytest.fixture(scope="module")
def report(run):
    return look(run)


def test_lost_prompts_that_another_pair_would_keep_are_counted(report):
    """The best and the worst are long and short: ratio 8; middle against short obeys."""
    assert [lost for lost in report.lost if lost.reason == "length ratio"] == [LostCandidates("length ratio", 24, 12, 12)]


def test_the_rule_is_held_against_the_same_without_control_of_lengths(report):
    lengths = report.lengths
    assert lengths.before.settings == {"length_ratio_max": None}
    assert (lengths.before.pairs, lengths.before.longer, lengths.before.longer_share) == (12, 6, 0.5)
    assert (lengths.after.pairs, lengths.after.same_pairs, lengths.after.demos) == (0, 0, 12)
    assert lengths.before.longer_low < 0.5 < lengths.before.longer_high
    one, two = lengths.sources_before
    assert (one.pairs + two.pairs, one.demos + two.demos) == (12, 0)
    assert {one.chosen_chars, two.chosen_chars} - {None} and one.chosen_tokens is None
    assert one.slope == pytest.approx(two.slope)
    assert -1 <= one.correlation <= 1
    assert sum(source.demos for source in lengths.sources_after) == 12


def test_whether_the_longer_answer_scores_higher(report):
    """Of three answers of a prompt and source: middle beats short always, long beats both in even prompts alone."""
    [found] = report.longer_wins
    assert (found.among, found.comparisons, found.wins, found.share) == ("all", 72, 48, 48 / 72)
    # six comparisons a prompt: all won in even ones, two in odd ones, which spreads like 24 independent ones
    assert (found.low, found.high) == pytest.approx(tuple(wilson(2 / 3, 24)))


def test_a_sweep_is_every_combination_and_the_rule_as_it_is(run):
    found = sweep(run, [], ["search=extremes,feasible", "length_ratio_max=2,null"])
    settings = [point.settings for point in found]
    assert settings == [
        {}, {"search": "extremes", "length_ratio_max": 2}, {"search": "extremes", "length_ratio_max": None},
        {"search": "feasible", "length_ratio_max": 2}, {"search": "feasible", "length_ratio_max": None},
    ]  # fmt: skip
    assert [point.pairs for point in found] == [0, 0, 12, 12, 12]
    assert [point.demos for point in found] == [12, 12, 0, 0, 0]


def test_a_sweep_is_what_select_gives(run):
    """Each point is the rule that --set would make."""
    for search in ("extremes", "feasible"):
        [_, point] = sweep(run, [], [f"search={search}"])
        with Run.open(run) as opened:
            recipe = assign(opened.recipe(), [f"select.search={search}"])
            assert point.pairs == select(opened, rule_in(opened, recipe, domain_of(recipe))).pairs.height
    pairs = sweep(run, ["select.search=feasible"], ["pairing={chosen: [m/two], rejected: [m/one]},any_source"])
    assert [(point.pairs, point.margin_mean > 0.5) for point in pairs] == [(12, False), (12, True), (12, True)]


@pytest.mark.parametrize(("knob", "said"), [
    ("length_ratio_max", "--sweep length_ratio_max: write it as FIELD=VALUE,VALUE"),
    ("length_ratio=1", "--sweep: select.length_ratio: extra field not permitted"),
    ("length_adjust=2", "--sweep: select.length_adjust"),
    ("margin=[0.1", "--sweep margin=[0.1"),
])  # fmt: skip
def test_what_cannot_be_swept(run, knob, said):
    with pytest.raises(RecipeError) as caught:
        sweep(run, [], [knob])
    assert str(caught.value).startswith(said)


def test_the_table_and_the_json_of_a_sweep(run):
    shown = datakit("select", run, "--sweep", "length_ratio_max=2,4")
    assert shown.returncode == 0 and "longer chosen" in shown.stdout and "as it is" in shown.stdout
    said = datakit("select", run, "--sweep", "length_ratio_max=2,4", "--json")
    assert [point["settings"] for point in json.loads(said.stdout)] == [{}, {"length_ratio_max": 2}, {"length_ratio_max": 4}]
