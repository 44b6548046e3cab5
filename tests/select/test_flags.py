"""What people have excluded is left out before anything is ranked, is counted, and stays out of later selections and builds."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from datakit.audit.inspect import inspect
from datakit.audit.report import Flagged
from datakit.domains import domain_of
from datakit.options import Options
from datakit.recipe import load
from datakit.select.rule import make_candidates, rule_of, select_demos, select_pairs
from datakit.stages import build
from datakit.store import Flags, load_sql
from tests.helpers.command import count, datakit, recipe_over, rows_of, write_problems, write_recipe
from tests.helpers.fake_endpoint import Fake, running
from tests.helpers.imported_runs import answered, imported_run
from tests.helpers.monitors import Heard
from tests.select.test_rule import CANDIDATES, in_memory, numbered, recipe_of, right, tables_of, wrong
from tests.select.test_rule import domains as domains  # the kinds of domains that stand for real ones

AT = datetime(2026, 1, 1, tzinfo=UTC)


def excluded(target, **ids):
    return {"target": target, **ids, "flag": "exclude", "who": "ann", "at": AT}


def selected(answers, said, domain="checked", **rule):
    """Pairs as (chosen score, rejected score) by prompt, demos' scores by prompt, lost by (prompt, model), faults by id."""
    answers = numbered(answers)
    run, recipe = in_memory(), recipe_of(domain, **rule)
    run.fill({**tables_of(answers, domain, 9, ()), "flags": said(answers)})
    made = rule_of(recipe, domain_of(recipe))
    if made.select.flags == "obey":
        made = replace(made, excluded=run.query(load_sql("select/find_excluded")))
    make_candidates(run, made)
    score = {answer.id: answer.score for answer in answers}
    pairs = {
        row["prompt_id"]: (score[row["chosen_id"]], score[row["rejected_id"]]) for row in select_pairs(run, made).to_dicts()
    }
    demos = {row["prompt_id"]: row["score"] for row in select_demos(run, made).to_dicts()}
    lost = dict(run.query(f"SELECT prompt_id, lost FROM ({CANDIDATES}) WHERE lost IS NOT NULL").rows())
    run.fill({"flags": []})
    return pairs, demos, lost


ANSWERS = [right("p", "a", 0.9), right("p", "a", 0.7), wrong("p", "a", 0.1), wrong("p", "a", 0.3), right("q", "a", 0.5)]


def test_the_runner_up_takes_the_place_of_an_excluded_response():
    best, _, worst, *_ = [answer.id for answer in numbered(ANSWERS)]
    only_best = selected(ANSWERS, lambda _: [excluded("response", response_id=best)])
    assert only_best == ({"p": (0.7, 0.1)}, {"q": 0.5}, {"q": "no wrong answer"})
    both = selected(ANSWERS, lambda _: [excluded("response", response_id=one) for one in (best, worst)])
    assert both[0] == {"p": (0.7, 0.3)}


def test_the_same_text_again_does_not_take_its_place():
    twice = [right("p", "a", 0.9, text="x"), right("p", "a", 0.8, text="x "), right("p", "b", 0.2, text="x"), *ANSWERS[1:3]]
    for at in (0, 1):
        pairs, *_ = selected(twice, lambda answers, at=at: [excluded("response", response_id=answers[at].id)])
        assert pairs == {"p": (0.7, 0.1)}
    pairs, *_ = selected(twice, lambda answers: [excluded("response", response_id=answers[2].id)])  # another source's
    assert pairs["p"][0] in (0.9, 0.8)


def test_an_excluded_prompt_has_neither_pair_nor_demo():
    flags = [excluded("prompt", prompt_id="p"), excluded("prompt", prompt_id="q")]
    assert selected(ANSWERS, lambda _: flags)[:2] == ({}, {})


def test_a_prompt_that_shares_its_answers_with_an_excluded_one_keeps_them():
    """Two prompts with one text have the same sampled answers; only what was excluded goes."""
    answers = numbered(ANSWERS[:3])
    tables = tables_of(answers, "checked", 9, ())
    twin = {**tables["prompts"][0], "prompt_id": "twin"}
    run, recipe = in_memory(), recipe_of("checked")
    run.fill({**tables, "prompts": [*tables["prompts"], twin], "flags": [excluded("prompt", prompt_id="p")]})
    rule = replace(rule_of(recipe, domain_of(recipe)), excluded=run.query(load_sql("select/find_excluded")))
    make_candidates(run, rule)
    assert select_pairs(run, rule)["prompt_id"].to_list() == ["twin"]
    run.fill({"flags": []})


def test_an_excluded_pair_is_lost_as_flagged_and_its_answers_are_not():
    def pair(answers):
        return [excluded("pair", chosen_id=answers[0].id, rejected_id=answers[2].id)]

    pairs, demos, lost = selected(ANSWERS, pair)
    assert (pairs, lost["p"]) == ({}, "flagged")
    assert demos == {"p": 0.9, "q": 0.5}  # the right answer alone is as good as it was
    other = [*ANSWERS, right("p", "b", 0.6), wrong("p", "b", 0.5)]
    assert selected(other, pair)[0] == {"p": (0.6, 0.5)}  # another source's pair takes the place
    assert selected(ANSWERS, pair, pairing="any_source")[2]["p"] == "flagged"


def test_an_excluded_pair_stays_out_when_more_samples_bring_its_texts_again():
    """Of repeated texts the first by id is used, so the same texts may come as another pair of ids."""
    twice = [right("p", "a", 0.9, text="x"), right("p", "a", 0.9, text="x"), wrong("p", "a", 0.1, text="y")]
    for at in (0, 1):
        _, _, lost = selected(twice, lambda a, at=at: [excluded("pair", chosen_id=a[at].id, rejected_id=a[2].id)])
        assert lost["p"] == "flagged"


def test_a_flag_on_what_is_no_pair_now_changes_nothing():
    plain = selected(ANSWERS, lambda _: [])
    assert selected(ANSWERS, lambda a: [excluded("pair", chosen_id=a[1].id, rejected_id=a[2].id)]) == plain
    assert (
        selected(ANSWERS, lambda _: [excluded("response", response_id="gone"), excluded("prompt", prompt_id="gone")]) == plain
    )


def test_flags_can_be_ignored():
    def everything(answers):
        return [excluded("prompt", prompt_id="p"), excluded("response", response_id=answers[0].id)]

    assert selected(ANSWERS, everything, flags="ignore") == selected(ANSWERS, lambda _: [])


def test_what_was_excluded_does_not_count_among_the_answers_that_another_outscores():
    """mean_rank of 0.7 among 0.9, 0.7, 0.1 is 1/2; without 0.9 it is the best."""
    answers = [right("p", "a", 0.9), right("p", "a", 0.7), wrong("p", "a", 0.1)]
    run, recipe = in_memory(), recipe_of("checked", judge="mean_rank")
    numbers = numbered(answers)
    run.fill({**tables_of(numbers, "checked", 9, ()), "flags": [excluded("response", response_id=numbers[0].id)]})
    rule = replace(rule_of(recipe, domain_of(recipe)), excluded=run.query(load_sql("select/find_excluded")))
    make_candidates(run, rule)
    assert select_pairs(run, rule)["margin"].to_list() == [1.0]
    run.fill({"flags": []})


# ------------------------------------------------------------------------------------------------------ the whole command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four prompts of two answers, and three more answers to one of them."""
    rows = [row for n in range(4) for row in answered(f"Q{n}?", (f"good {n}", 0.9), (f"bad {n}", 0.1))]
    rows += answered("Q0?", ("better 0", 0.95), ("worse 0", 0.05), ("middling 0", 0.5))
    folder = imported_run(tmp_path_factory.mktemp("flags") / "run", rows, select={"split": "pairs_first"})
    assert count(folder, "pairs") == 4
    return folder


def ids_of(folder):
    rows = rows_of(
        folder, "SELECT messages[1].content AS q, prompt_id, chosen_id, rejected_id FROM pairs JOIN prompts USING (prompt_id)"
    )
    return {row["q"]: row for row in rows}


def write(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8-sig") as file:  # as spreadsheets save it
            table = csv.DictWriter(file, sorted({name for row in rows for name in row}))
            table.writeheader()
            table.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_from_a_file_into_the_selection_the_funnel_and_the_manifest(run, tmp_path):
    pairs = ids_of(run)
    flags = [
        {
            "response_id": pairs["Q0?"]["chosen_id"],
            "flag": "exclude",
            "note": "wrong unit",
            "model": "columns of others do not matter",
        },
        {"prompt_id": pairs["Q1?"]["prompt_id"], "flag": "Exclude ", "who": "bob"},
        {**pairs["Q2?"], "flag": "exclude"},  # a row of pairs, as datakit sql gives it
        {"target": "prompt", **pairs["Q3?"], "flag": "keep"},
    ]
    done = datakit("flag", run, write(tmp_path / "flags.csv", flags), "--who", "ann")
    assert (done.returncode, done.stderr.splitlines()[0]) == (0, f"{tmp_path}/flags.csv: 4 flags added")
    targets = rows_of(run, 'SELECT target FROM current_flags ORDER BY "at"')
    assert [row["target"] for row in targets] == ["response", "prompt", "pair", "prompt"]
    report = inspect(run)
    assert any("out of date: 4 changes against" in warning for warning in report.warnings)  # three pairs, and Q2's demo
    stale = datakit("export", run, tmp_path / "out")
    assert stale.returncode == 2 and "run: datakit select" in stale.stderr

    assert datakit("select", run).returncode == 0
    after = ids_of(run)
    assert sorted(after) == ["Q0?", "Q3?"]
    assert rows_of(run, f"SELECT text FROM responses WHERE response_id = '{after['Q0?']['chosen_id']}'") == [{"text": "good 0"}]
    report = inspect(run)
    assert report.funnel[1].lost[0].reason == "flagged"
    assert {loss.reason: loss.prompts for step in report.funnel for loss in step.lost} == {"flagged": 1}
    assert [loss.prompts for step in report.funnel for loss in step.lost] == [1, 1]
    assert {use.use: use.responses for use in report.answers}["left out: flagged"] == 3  # one, and both of Q1
    assert report.flags == Flagged(obeyed=True, prompts=1, responses=1, pairs=1, kept=1, notes=1)
    manifest = json.loads((run / "dpo" / "manifest.json").read_text(encoding="utf-8"))
    assert {name: manifest["flags"][name] for name in ("obeyed", "prompts", "responses", "pairs")} == {
        "obeyed": True, "prompts": 1, "responses": 1, "pairs": 1,
    }  # fmt: skip
    assert "Excluded by people who looked at the data: 1 prompt, 1 response, 1 pair" in (run / "dpo" / "README.md").read_text(
        encoding="utf-8"
    )
    drawn = datakit("inspect", run).stdout
    assert "flags: excluded 1 prompt, 1 response, 1 pair, 1 kept, 1 note" in drawn

    for name in ("all.csv", "all.jsonl"):
        assert datakit("flag", run, "--export", tmp_path / name).returncode == 0
        assert "0 flags added, 4 there already" in datakit("flag", run, tmp_path / name).stderr
    assert datakit("select", run, "--set", "select.flags=ignore").returncode == 0
    assert sorted(ids_of(run)) == ["Q0?", "Q1?", "Q2?", "Q3?"]
    assert "(select.flags: ignore)" in datakit("inspect", run).stdout

    lines = (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()
    clear = [{**row, "flag": "clear", "at": None} for row in map(json.loads, lines)]
    assert datakit("flag", run, write(tmp_path / "clear.jsonl", clear)).returncode == 0
    assert datakit("select", run, "--set", "select.flags=obey").returncode == 0
    assert ids_of(run) == pairs
    assert "flags:" not in datakit("inspect", run).stdout


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt_id": "p"}], "line 1: flag must be one of exclude, keep, note, clear (got None)"),
        ([{"prompt_id": "p", "flag": "exclud"}], "(got 'exclud'); did you mean 'exclude'?"),
        ([{"prompt_id": "p", "flagg": "keep"}], "the column 'flagg' is none of ours: is it flag?"),
        ([{"promptid": "p", "flag": "keep"}], "prompt_id is empty; a flag of a prompt has prompt_id; the column 'promptid' is"),
        ([{"prompt_id": "p", "flag": "delete"}], "line 1: flag must be one of exclude, keep, note, clear (got 'delete')"),
        (
            [{"prompt_id": "p", "flag": "keep"}, {"flag": "keep"}],
            "line 2: prompt_id is empty; a flag of a prompt has prompt_id",
        ),
        (
            [{"target": "pair", "chosen_id": "c", "flag": "keep"}],
            "rejected_id is empty; a flag of a pair has chosen_id and rejected_id",
        ),
        ([{"target": "source", "prompt_id": "p", "flag": "keep"}], "target must be one of prompt, response, pair"),
        ([{"prompt_id": "p", "flag": "note"}], "note is empty; a flag `note` says something"),
        ([{"prompt_id": "p", "flag": "keep", "at": "yesterday"}], "at must be a time like 2026-01-31T12:00:00Z"),
        ([{"prompt_id": "p", "flag": "keep", "at": "2999-01-01T00:00:00Z"}], "at is in the future"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_none_is_added(run, tmp_path, rows, said):
    before = count(run, "flags")
    done = datakit("flag", run, write(tmp_path / "flags.jsonl", rows))
    assert done.returncode == 2
    assert said in done.stderr and "flags.jsonl" in done.stderr
    assert count(run, "flags") == before


def test_flags_of_ids_that_are_not_there_stay_and_are_named(run, tmp_path):
    """With what may be meant: an id in part, one that is misspelt, one of the other kind; what is like none has no hint."""
    prompt = rows_of(run, "FROM prompts ORDER BY prompt_id")[0]["prompt_id"]
    response = rows_of(run, "FROM responses ORDER BY response_id")[0]["response_id"]
    for unknown, said in (
        ({"response_id": "of another run"}, "response_id 'of another run'\n"),
        ({"response_id": response[:8]}, f"response_id '{response[:8]}'; did you mean '{response}'?\n"),
        ({"response_id": response[:-1] + "x"}, f"response_id '{response[:-1]}x'; did you mean '{response}'?\n"),
        ({"prompt_id": response}, f"prompt_id '{response}'; did you mean the response_id '{response}'?\n"),
        ({"response_id": prompt}, f"response_id '{prompt}'; did you mean the prompt_id '{prompt}'?\n"),
        ({"prompt_id": f"{prompt}."}, f"prompt_id '{prompt}.'; did you mean '{prompt}'?\n"),
        ({"chosen_id": response, "rejected_id": "7"}, "rejected_id '7'\n"),
    ):
        rows = [unknown | {"flag": "note", "note": "x"}, {"prompt_id": prompt, "flag": "note", "note": "y"}]
        done = datakit("flag", run, write(tmp_path / "flags.jsonl", rows))
        assert (
            "2 flags added" in done.stderr and f"1 flag of ids that this run does not have now; {STAYS}  {said}" in done.stderr
        )


STAYS = "what is flagged stays:\n"


def test_of_many_unknown_ids_the_first_are_named(run, tmp_path):
    rows = [{"prompt_id": f"{at}", "flag": "note", "note": "x"} for at in (91, 92, 92, 93, 94, 95)]
    done = datakit("flag", run, write(tmp_path / "flags.jsonl", rows))
    assert done.stderr.split(STAYS)[1].splitlines()[:4] == [
        "  prompt_id '91'",
        "  prompt_id '92'",
        "  prompt_id '93'",
        "  and 2 more ids",
    ]
    assert "6 flags of ids" in done.stderr


class FlaggingAt(Heard):
    """Somebody who excludes a prompt when a stage begins."""

    def __init__(self, folder, prompts):
        super().__init__()
        self.folder, self.prompts = folder, prompts

    def stage(self, name, *args, **more):
        if prompt_id := self.prompts.get(name):
            Flags(self.folder).add([{"target": "prompt", "prompt_id": prompt_id, "flag": "exclude", "who": "ann"}])


def test_a_flag_that_comes_while_a_build_runs_counts_and_one_after_its_selection_does_no_harm(tmp_path):
    problems = write_problems(tmp_path / "problems.jsonl", 3)
    with running(Fake()) as fake:
        recipe = load(write_recipe(tmp_path / "recipe.yaml", recipe_over(fake.url, problems)))
        monitor = FlaggingAt(tmp_path / "run", {"verify": "add/1", "export": "add/2"})
        built = build(recipe, tmp_path / "run", Options(), monitor)
    used = "SELECT prompt_id FROM demos UNION ALL SELECT prompt_id FROM pairs ORDER BY 1"
    assert [row["prompt_id"] for row in rows_of(tmp_path / "run", used)] == ["add/0", "add/2"]
    assert any("out of date" in warning for warning in built.warnings)
    manifest = json.loads((tmp_path / "run" / "sft" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["flags"]["prompts"] == 1  # those that its rows obey
