"""Before and after of a selection: by frames, by another rule on one run, and of two runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from datakit.audit.diff import Moved, diff_runs, preview
from datakit.store import Flags, Run, load_sql
from tests.helpers.command import datakit
from tests.helpers.imported_runs import answered, imported_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Four prompts whose margins are 0.2, 0.4, 0.6 and 0.8; the chosen answer is the longer one in the first three."""
    rows = []
    for at in range(1, 5):
        texts = (f"a long good answer {at}", f"bad {at}") if at < 4 else ("good", f"a bad answer that is longer {at}")
        rows += answered(f"Question {at}?", (texts[0], 0.1 + at / 5), (texts[1], 0.1))
    return imported_run(tmp_path_factory.mktemp("diff") / "run", rows, select={"margin": [0.0, 0.5]})


def test_another_window_moves_prompts_between_phases(run: Path) -> None:
    """[0, 0.5] gives pairs of the first two, [0.3, 1] of the last three; the others serve SFT."""
    diff = preview(run, ["select.margin=[0.3,1.0]"])
    assert (diff.before.pairs, diff.before.demos, diff.after.pairs, diff.after.demos) == (2, 2, 3, 1)
    assert diff.moved == [Moved("sft", "dpo", 2), Moved("dpo", "sft", 1)]
    assert (diff.pairs, diff.demos) == ({"came": 2, "went": 1, "changed": 0}, {"came": 1, "went": 2, "changed": 0})
    assert diff.before.margin_quantiles == pytest.approx([0.2, 0.25, 0.3, 0.35, 0.4])
    assert (diff.before.chosen_longer_share, diff.after.chosen_longer_share) == (1.0, 2 / 3)
    assert diff.after.chosen_longer_interval is not None and diff.after.chosen_longer_interval[0] < 2 / 3
    assert (diff.before.sources, diff.after.sources) == ({"m/one": 2}, {"m/one": 3})
    assert [(row["phase"], row["change"]) for row in diff.changes.to_dicts()].count(("sft", "went")) == 2
    kinds = {example.change for example in diff.examples}
    assert kinds == {"came", "went"} and len(diff.examples) == 3
    [went] = [example for example in diff.examples if example.change == "went"]
    assert went.after is None and went.before is not None and went.before.chosen == "a long good answer 1"
    assert went.prompt is not None and went.prompt[0]["content"] == "Question 1?"


def test_nothing_changes_where_the_rule_is_the_same(run: Path) -> None:
    diff = preview(run, [])
    assert (diff.before.pairs, diff.moved, diff.changes.height, diff.examples) == (diff.after.pairs, [], 0, [])
    assert "prompts that changed phase: none" in datakit("select", run, "--diff").stdout


def test_on_a_terminal_it_begins_with_before_and_after(run: Path) -> None:
    lines = datakit("select", run, "--set", "select.margin=[0.3,1.0]", "--diff").stdout.splitlines()
    assert lines[0].split() == ["now", "then"]
    assert lines[1].split() == ["pairs", "2", "3"] and lines[2].split() == ["demos", "2", "1"]
    assert "prompts that changed phase: 2 from SFT to DPO, 1 from DPO to SFT" in lines
    assert any("a long good answer 1" in line for line in lines)
    assert not any("more changes" in line for line in lines)


def test_as_many_changes_are_listed_as_were_asked_for(run: Path) -> None:
    """The counts are of all of them, and so is what a script gets."""
    settings = ["select.margin=[0.3,1.0]"]
    every, few = preview(run, settings), preview(run, settings, most=2)
    assert (every.n_changes, every.changes.height) == (6, 6)
    assert few.n_changes == 6 and few.changes.equals(every.changes.head(2))
    assert few == replace(every, changes=few.changes)
    given = ("select", run, "--set", settings[0], "--diff", "--json")
    assert json.loads(datakit(*given).stdout) == every.changes.to_dicts()


def test_two_runs_of_different_recipes(run: Path, tmp_path: Path) -> None:
    rows = answered("Question 1?", ("another good one", 0.9), ("bad", 0.1), model="m/two") + answered(
        "New?", ("x", 0.3), ("y", 0.2)
    )
    other = imported_run(tmp_path / "other", rows)
    diff = diff_runs(run, other)
    assert (diff.before.name, diff.after.name, diff.pairs) == ("run", "other", {"came": 1, "went": 1, "changed": 1})
    assert diff.after.sources == {"m/one": 1, "m/two": 1}
    [changed] = [example for example in diff.examples if example.change == "changed"]
    assert changed.before is not None and changed.after is not None
    assert (changed.before.chosen, changed.after.chosen) == ("a long good answer 1", "another good one")
    assert json.loads(datakit("diff", run, other, "--json").stdout) == json.loads(json.dumps(diff.as_json()))
    done = datakit("diff", run, tmp_path / "none")
    assert done.returncode == 2 and "none" in done.stderr


def test_texts_are_found_by_their_prompts_and_without(run: Path) -> None:
    """A tenth of the time; but an answer to the same messages may stand under the id of another prompt."""
    with Run.open(run) as opened:
        prompt, answer = opened.query("SELECT prompt_id, chosen_id FROM pairs ORDER BY margin LIMIT 1").row(0)
        read = {
            name: opened.query(load_sql("audit/changed_texts"), {"ids": [answer, "none"], "prompts": prompts}).rows()
            for name, prompts in {"its": [prompt, "p"], "another": ["p"], "any": None}.items()
        }
    assert read == {"its": [(answer, "a long good answer 1")], "another": [], "any": read["its"]}


def test_a_preview_needs_neither_numpy_nor_pyarrow(run: Path) -> None:
    """Their imports would take as long as its statements over a small run."""
    shown = "import sys; from datakit.audit.diff import preview; from pathlib import Path; preview(Path(sys.argv[1]), []); "
    shown += "print(*{'numpy', 'pyarrow', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", shown, str(run)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_what_people_excluded_is_said_before_and_after(run: Path) -> None:
    with Run.open(run) as opened:
        [prompt] = opened.query("SELECT prompt_id FROM pairs ORDER BY margin LIMIT 1")["prompt_id"]
    Flags(run).add([{"target": "prompt", "prompt_id": prompt, "flag": "exclude", "who": "ann"}])
    diff = preview(run, [])
    assert (diff.before.excluded, diff.after.excluded) == (
        {"prompts": 0, "responses": 0, "pairs": 0},
        {"prompts": 1, "responses": 0, "pairs": 0},
    )
    assert (diff.after.pairs, diff.pairs["went"]) == (1, 1)
    lines = datakit("select", run, "--diff").stdout.splitlines()
    assert ["excluded", "by", "flags", "-", "1", "prompt"] in [line.split() for line in lines]
    assert datakit("select", run).returncode == 0  # and what holds it now says so
    assert preview(run, ["select.flags=ignore"]).before.excluded == diff.after.excluded
