"""`datakit inspect`: hand-made runs and exports in, exact numbers out, and a drawing that shows them."""

import json
import re
from dataclasses import asdict, astuple, fields, is_dataclass, replace
from datetime import UTC, datetime
from io import BytesIO, TextIOWrapper
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from datakit import domains, recipe
from datakit.audit.from_run import inspect_run, look_back
from datakit.audit.inspect import inspect
from datakit.audit.limits import hold, name_broken, verdict
from datakit.audit.report import Duplicates, Ending, Limit, Loss, Use
from datakit.errors import BadInput
from datakit.export import Wish, export_runs
from datakit.screen.console import open_console
from datakit.screen.report import draw
from datakit.select.rule import make_candidates, rule_of, select_demos, select_pairs
from datakit.store import Run
from datakit.tables import TABLES, Messages, digest, digest_of_messages, make_response_id
from datakit.wording import short_names

JUDGE = "armorm@r1"
VERIFIER = domains.DOMAINS["math"](recipe.VerifyMath()).verifier.name
SAMPLING = {"temperature": 0.5}
SAMPLING_TEXT = '{"temperature":0.5}'


def make_recipe(models=("llama", "qwen"), n=2, score=True, domain="math", **sections):
    values = {
        "domain": domain,
        "prompts": [{"type": "file", "path": "problems.jsonl"}],
        "sources": [
            {"type": "endpoint", "model": model, "base_urls": ["http://x/v1"], "n": n, "sampling": SAMPLING} for model in models
        ],
        "score": {"type": "armorm", "model": "judge", "revision": "r1"} if score else None,
        **sections,
    }
    return recipe.parse(values, "test", Path())


class Build:
    """A run made by hand: `answer` gives a response with its verdict and score, `finish` selects and closes."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.recipe = make_recipe(**settings)
        self.run = Run.create(folder)
        self.run.save_recipe(self.recipe)
        self.rows = {"prompts": [], "responses": [], "verdicts": [], "scores": [], "failures": []}
        sources = [
            {"model": s.model, "sampling": s.sampling_text, "type": s.type, "n": s.n, "revision": s.revision}
            for s in self.recipe.sampled
        ]
        self.run.replace("sources", TABLES["sources"].frame(sources))

    def prompt(self, prompt_id, dropped=None, content=None, reference="7"):
        messages: Messages = [{"role": "user", "content": content or f"Question {prompt_id}?"}]
        self.rows["prompts"].append(
            {
                "prompt_id": prompt_id,
                "domain": self.recipe.domain,
                "messages": messages,
                "messages_digest": digest_of_messages(messages),
                "reference": None if dropped else reference,
                "reference_digest": digest(reference),
                "dropped": dropped,
            }
        )

    def response_id(self, prompt_id, model, index):
        prompt = next(row for row in self.rows["prompts"] if row["prompt_id"] == prompt_id)
        return make_response_id(prompt["messages_digest"], model, None, SAMPLING_TEXT, index)

    def answer(self, prompt_id, model, index, text, outcome=None, score=None, finish="stop", n_tokens=4):
        response_id = self.response_id(prompt_id, model, index)
        ids = {"response_id": response_id, "prompt_id": prompt_id, "model": model, "sampling": SAMPLING_TEXT}
        self.rows["responses"].append(
            ids | {"sample_index": index, "text": text, "finish_reason": finish, "n_tokens": n_tokens}
        )
        if outcome:
            verdict = {"verifier": VERIFIER, "reference_digest": digest("7"), "outcome": outcome}
            self.rows["verdicts"].append({"response_id": response_id, **verdict})
        if score is not None:
            self.rows["scores"].append({"response_id": response_id, "judge": JUDGE, "score": score})

    def failure(self, key, source, error="status 400", message="bad request", permanent=True, stage="sample"):
        ids = {"stage": stage, "key": key, "source": source, "at": datetime(2025, 1, 1, tzinfo=UTC)}
        self.rows["failures"].append(ids | {"error": error, "message": message, "attempts": 1, "permanent": permanent})

    def write(self):
        for table, rows in self.rows.items():
            self.run.append(table, rows)

    def warnings(self):
        """What only a report's warnings need: a fifth of it."""
        self.select()
        with Run.open(self.folder) as run:
            return look_back(run)[0]

    def finish(self):
        self.select()
        return look(self.folder)

    def select(self):
        self.write()
        rule = rule_of(self.recipe, domains.domain_of(self.recipe))
        make_candidates(self.run, rule)
        demos, pairs = select_demos(self.run, rule), select_pairs(self.run, rule)
        self.run.replace("demos", demos)
        self.run.replace("pairs", pairs)
        self.run.close()


def look(folder):
    """The report without what only plots need."""
    with Run.open(folder) as run:
        return inspect_run(run, plots=False)


def drawn(report, width=100, encoding="utf-8"):
    """The report as a pipe gets it."""
    pipe = TextIOWrapper(BytesIO(), encoding=encoding)
    draw(report, Console(file=pipe, width=width))
    pipe.flush()
    return pipe.buffer.getvalue().decode(encoding)


def build_small(folder):
    """Five prompts: one pair, one prompt right and wrong in different sources, one unjudged, one unanswered, one dropped."""
    build = Build(folder, select={"margin": [0.01, 0.1]})
    for prompt_id in ("p0", "p1", "p2", "p3"):
        build.prompt(prompt_id)
    build.prompt("p4", dropped="no reference answer")
    build.answer("p0", "llama", 0, "the answer is 7", "passed", 0.20, n_tokens=10)
    build.answer("p0", "llama", 1, "it is 8", "failed", 0.15)
    build.answer("p0", "qwen", 0, "7", "passed", 0.30)
    build.answer("p0", "qwen", 1, "8", "failed", 0.10)
    build.answer("p1", "llama", 0, "seven", "passed", 0.10)
    build.answer("p1", "llama", 1, "seven", "passed", 0.10)
    build.answer("p1", "qwen", 0, "9", "failed", 0.20)
    build.answer("p1", "qwen", 1, "10", "failed", 0.30, finish="length")
    build.answer("p2", "llama", 0, "hm", "unparseable", 0.10)
    build.answer("p2", "qwen", 0, "7", "timeout", 0.10)
    build.failure(build.response_id("p2", "llama", 1), "llama")
    for index in (0, 1):
        build.failure(build.response_id("p3", "llama", index), "llama", "timeout", "no answer in 600 s", permanent=False)
    return build


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "small"
    build_small(folder).finish()
    return folder


@pytest.fixture(scope="module")
def small(small_folder):
    return inspect(small_folder)


def by_model(report):
    return {source.model: source for source in report.sources}


def test_tables_count_stored_and_current_rows(small):
    assert small.tables == {
        **{"prompts": 5, "sources": 2, "responses": 10, "verdicts": 10, "scores": 10},
        **{"demos": 1, "pairs": 1, "failures": 3, "overlaps": 0, "flags": 0},
    }
    assert small.current == small.tables | {"prompts": 4}


def test_the_funnel_says_where_each_prompt_is_lost(small):
    assert [(step.step, step.prompts, [astuple(loss) for loss in step.lost]) for step in small.funnel] == [
        ("read", 5, []),
        ("kept", 4, [("no reference answer", 1)]),
        ("answered", 3, [("not asked yet", 1)]),
        ("judged", 2, [("nothing to judge by", 1)]),
        ("candidates", 1, [("right and wrong in different sources", 1)]),
        ("paired", 1, []),
    ]


def test_candidates_and_prompts_are_lost_for_reasons(small):
    assert {row.reason: (row.candidates, row.prompts) for row in small.lost} == {
        "nothing to judge by": (2, 1),
        "margin above the window": (1, 0),
        "no right answer": (1, 0),
        "no wrong answer": (1, 1),
    }
    assert {row.use: row.responses for row in small.answers} == {
        **{"right": 3, "wrong": 3, "repeated text": 1, "cannot judge: unparseable": 1, "cannot judge: timeout": 1},
        **{"not complete: length": 1},
    }


def test_each_source_has_its_numbers(small):
    llama, qwen = by_model(small)["llama"], by_model(small)["qwen"]
    histograms = ("score_histogram", "chars_histogram")
    assert {name: value for name, value in asdict(llama).items() if name not in histograms} == {
        **{"model": "llama", "revision": None, "type": "endpoint", "n": 2, "prompts": 3, "responses": 5},
        **{"distinct": 4, "most_distinct": 2, "truncated": 0, "passed": 3, "failed": 1, "timeout": 0, "error": 0},
        **{"unparseable": 1, "unverifiable": 0, "no_verdict": 0, "pass_rate": 0.75, "mean_score": pytest.approx(0.13)},
        **{"mean_tokens": 5.2, "mean_chars": 6.8, "wanted": 8, "failures": 3, "pending": 0, "pairs": 1, "demos": 1},
        **{
            "mean_thought_tokens": None,
            "mean_answer_tokens": 5.2,
            "thought_tokens_counted": None,
            "endings": [],
            "residue": [],
        },
    }
    assert (qwen.responses, qwen.distinct, qwen.truncated, qwen.timeout, qwen.pending) == (5, 5, 1, 1, 3)
    assert qwen.endings == [Ending("length", 1)]
    assert qwen.pass_rate == 0.25  # a timeout of the checker of mathematics is not a wrong answer
    assert (qwen.pairs, qwen.demos) == (0, 0)
    for histogram in histograms:
        of_llama, of_qwen = getattr(llama, histogram), getattr(qwen, histogram)
        assert of_llama.edges == of_qwen.edges
        assert len(of_llama.edges) == len(of_llama.counts) + 1
        assert sum(of_llama.counts) == sum(of_qwen.counts) == 5


def test_pairs_have_margins_and_lengths(small):
    pairs = {name: value for name, value in asdict(small.pairs).items() if not name.endswith("histogram")}
    assert pairs == {
        **{"count": 1, "margin_min": pytest.approx(0.05), "margin_median": pytest.approx(0.05)},
        **{"margin_max": pytest.approx(0.05), "chosen_longer": 1, "chosen_longer_share": 1.0},
        **{"length_ratio_geomean": pytest.approx(15 / 7)},
    }
    assert sum(small.pairs.margin_histogram.counts) == sum(small.pairs.length_histogram.counts) == 1


def test_the_judge_is_judged(small):
    scores = small.scores
    assert (scores.scored, scores.unscored, scores.non_finite, scores.comparisons) == (10, 0, 0, 2)
    assert scores.ranking_accuracy == 1.0
    score = [0.2, 0.15, 0.3, 0.1, 0.1, 0.1, 0.2, 0.3, 0.1, 0.1]
    chars = [15, 7, 1, 1, 5, 5, 1, 2, 2, 1]
    expected = pl.DataFrame({"score": score, "chars": chars}).select(pl.corr("score", "chars")).item()
    assert scores.length_correlation == pytest.approx(expected)


def test_failures_stand_by_cause(small):
    causes = [(row.count, row.error, row.permanent, row.example) for row in small.failures]
    assert causes == [(2, "timeout", False, "no answer in 600 s"), (1, "status 400", True, "bad request")]


def test_an_example_has_its_texts_and_ids(small):
    [pair] = small.examples
    assert (pair.chosen, pair.rejected, pair.prompt[0]["content"]) == ("the answer is 7", "it is 8", "Question p0?")
    assert (pair.chosen_score, pair.rejected_score, pair.picked, pair.prompt_id) == (0.20, 0.15, None, "p0")


def test_warnings_are_sentences(small):
    assert "1 prompt dropped: no reference answer" in small.warnings
    assert any("qwen: 3 of 8 responses not there yet" in warning for warning in small.warnings)
    assert any("qwen: 20% of the responses were cut off" in warning for warning in small.warnings)
    assert any("failures that are not tried again: 1;" in warning for warning in small.warnings)


LIMITS = [  # name, value, a limit that is kept, one that is broken
    ("min_pairs", 1, 1, 2),
    ("min_demos", 1, 1, 2),
    ("max_chosen_longer_share", 1.0, 1.0, 0.9),
    ("max_truncated_share", 0.1, 0.1, 0.09),
    ("max_failure_share", 3 / 16, 0.1875, 0.18),
]


@pytest.mark.parametrize(("ok", "at"), [(True, 2), (False, 3)])
def test_every_limit_kept_and_broken(small, ok, at):
    limits: dict[str, float | None] = {str(row[0]): float(row[at]) for row in LIMITS}
    report = replace(small, limits=hold(small, limits))
    assert [(held.name, held.limit, held.ok) for held in report.limits] == [(name, limits[name], ok) for name, *_ in LIMITS]
    assert [held.value for held in report.limits] == [pytest.approx(value) for _, value, *_ in LIMITS]
    assert report.ok is ok
    assert ("LIMIT BROKEN" in drawn(report)) is not ok
    sides = ["ok"] * 5 if ok else ["BELOW", "BELOW", "ABOVE", "ABOVE", "ABOVE"]
    assert [verdict(held) for held in report.limits] == sides


def test_a_build_ends_with_the_limits_that_are_broken(small_folder, small):
    """The same as the report's, without a report."""
    with Run.open(small_folder) as run:
        _, limits = look_back(run)
    assert limits == small.limits
    assert name_broken(limits) == ["limit broken: max_chosen_longer_share is 1.000, must be at most 0.800"]
    assert name_broken(hold(small, {"min_pairs": 1000, "min_demos": 1, "max_chosen_longer_share": None})) == [
        "limit broken: min_pairs is 1, must be at least 1,000"
    ]


def test_one_limit_broken_is_enough_and_null_is_no_limit(small):
    assert [(limit.name, limit.ok) for limit in small.limits] == [
        ("min_pairs", True),
        ("max_chosen_longer_share", False),
    ]
    assert small.ok is False


@pytest.mark.parametrize("prompts", [0, 3])
def test_a_run_without_responses(tmp_path, prompts):
    build = Build(tmp_path, limits={"min_pairs": prompts})
    for at in range(prompts):
        build.prompt(f"p{at}")
    report = build.finish()
    assert [step.prompts for step in report.funnel] == [prompts, prompts, 0, 0, 0, 0]
    assert {source.model: source.pending for source in report.sources} == {"llama": 2 * prompts, "qwen": 2 * prompts}
    assert by_model(report)["llama"].mean_score is None
    assert (report.pairs.count, report.pairs.margin_median) == (0, None)
    assert report.limits[1] == Limit("max_chosen_longer_share", None, 0.8, True), "a share of no pairs"
    assert report.ok is (prompts == 0)
    json.dumps(report.as_json(), allow_nan=False)
    assert "no pairs" in drawn(report)


def test_a_run_that_only_has_its_recipe(tmp_path):
    with Run.create(tmp_path) as run:
        run.save_recipe(make_recipe(score=False))
    assert "no sources" in drawn(look(tmp_path))


class Plain:
    """A domain without a verifier."""

    name, verifier, wrong = "plain", None, frozenset()

    def __init__(self, options):
        pass


@pytest.mark.parametrize("score", [True, False])
def test_a_domain_without_verdicts(tmp_path, monkeypatch, score):
    monkeypatch.setitem(domains.DOMAINS, "plain", Plain)
    build = Build(tmp_path, domain="plain", score=score)
    build.prompt("p0")
    build.answer("p0", "llama", 0, "good", score=0.9 if score else None)
    build.answer("p0", "llama", 1, "bad", score=0.4 if score else None)
    build.answer("p0", "qwen", 0, "same")
    report = build.finish()
    assert report.run.verifier is None
    assert (by_model(report)["llama"].no_verdict, by_model(report)["llama"].pass_rate) == (2, None)
    assert report.pairs.count == (1 if score else 0)
    uses = {row.use: row.responses for row in report.answers}
    assert uses == ({"usable": 2, "no score": 1} if score else {"usable": 3})
    assert not any("verdict" in warning for warning in report.warnings)
    assert report.scores.unscored == (1 if score else None)
    text = drawn(report)
    assert "no verifier" in text
    assert ("no judge" in text) is not score


def test_one_sample_a_source_gives_no_pair_and_says_why(tmp_path):
    build = Build(tmp_path, n=1)
    build.prompt("p0")
    build.answer("p0", "llama", 0, "7", "passed", 0.2)
    build.answer("p0", "qwen", 0, "8", "failed", 0.1)
    why = "each source gave one response per prompt; same_source needs at least two different answers of one source: raise n"
    assert any(why in warning and "or use pairing: any_source" in warning for warning in build.warnings())


def test_copies_give_no_pair_and_say_why(tmp_path):
    build = Build(tmp_path, models=("llama",))
    build.prompt("p0")
    for index in (0, 1):
        build.answer("p0", "llama", index, "7", "passed", 0.2)
    warnings = build.warnings()
    assert any("no pair is possible: all samples of a source are copies" in warning for warning in warnings)
    assert any(warning.startswith("llama: all samples of a prompt are the same text") for warning in warnings)


def renamed(value, names):
    """A report of other models, by the names that they have in it."""
    if isinstance(value, list | dict):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        made = {key: renamed(one, names) for key, one in pairs}
        return made if isinstance(value, dict) else list(made.values())
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: renamed(getattr(value, one.name), names) for one in fields(value)})
    return names.get(value, value) if isinstance(value, str) else value


def test_long_names_give_way_to_numbers_on_a_narrow_terminal(small):
    models = ("org/Meta-Llama-3.1-405B-Instruct-one", "org/Meta-Llama-3.1-405B-Instruct-two")
    text = drawn(renamed(small, dict(zip(("llama", "qwen"), models, strict=True))), width=80)
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    assert re.search(r"Meta-\.\.t-one .* 0\.130 .*\d%", text), "scores"
    assert re.search(r"Meta-\.\.t-two +2 +5 of 8 +100%", text), "sources"


def test_a_long_run_folder_is_written_out(small):
    folder = "/somewhere/" + "long" * 20
    text = drawn(replace(small, run=replace(small.run, folder=folder)), width=80)
    assert folder in text.replace("\n", "").replace(" ", "").replace("LIMITBROKEN", "").replace("OK", "")


def test_names_that_differ_in_the_middle_are_folded(small):
    names = {"llama": "FuseChat-Llama-3.1-8B-Instruct", "qwen": "FuseChat-Llama-3.2-3B-Instruct"}
    text = drawn(renamed(small, names), width=80)
    assert "…" not in text and all(re.search(rf"FuseChat-Ll\.\.{size}(B|\s)", text) for size in "83")


def test_pairs_of_any_source_and_a_judge_that_errs(tmp_path):
    build = Build(tmp_path, n=3, select={"pairing": "any_source"})
    build.prompt("p0")
    build.answer("p0", "llama", 0, "right", "passed", 0.2)
    build.answer("p0", "llama", 1, "wrong", "failed", 0.2)
    build.answer("p0", "llama", 2, "wrong too", "failed", 0.3)
    build.answer("p0", "qwen", 0, "worst", "failed", 0.1)
    report = build.finish()
    assert (report.scores.ranking_accuracy, report.scores.comparisons) == (0.5, 3)  # a tie, lost, won over qwen
    [judge] = report.judges
    assert (judge.ranking_accuracy, judge.comparisons) == (0.5, 3)
    assert [(row.model, row.ranking_accuracy, row.comparisons) for row in judge.sources] == [
        ("llama", 0.5, 3),
        ("qwen", None, 0),
    ]
    assert "of the same prompt in 50% of 3 comparisons" in drawn(report)
    assert (report.examples[0].model, report.examples[0].rejected_model) == ("llama", "qwen")
    assert (by_model(report)["llama"].pairs, by_model(report)["qwen"].pairs) == (1, 0)
    assert report.pairs.chosen_longer_share == 0  # as long as the rejected one
    assert "that differ" in drawn(report)


def test_scores_that_are_no_numbers_never_reach_json(tmp_path):
    build = Build(tmp_path, models=("llama",), n=4)
    build.prompt("p0")
    for index, score in enumerate((float("nan"), float("inf"), 0.2, 0.1)):
        build.answer("p0", "llama", index, f"answer {index}", "failed" if index % 2 else "passed", score)
    report = build.finish()
    json.dumps(report.as_json(), allow_nan=False)
    assert (report.scores.non_finite, report.scores.scored) == (2, 2)
    assert by_model(report)["llama"].mean_score == pytest.approx(0.15)
    assert any(warning.startswith("scores of armorm@r1 that are not finite: 2;") for warning in report.warnings)
    assert "2 scores not finite" in drawn(report)


def test_duplicates_are_counted(tmp_path):
    build = Build(tmp_path)
    build.prompt("p0", content="One?")
    build.prompt("p1", content="One?", reference="8")
    build.answer("p0", "llama", 0, "7", "passed", 0.2)
    build.answer("p0", "llama", 1, "7", "passed", 0.2)
    build.answer("p0", "qwen", 0, "7", "passed", 0.2)
    report = build.finish()
    assert report.duplicates == Duplicates(
        repeated_responses=2, shared_responses=2, repeated_prompts=1, differing_references=1
    )  # a response serves both prompts that ask the same
    assert any("different reference answers" in warning for warning in report.warnings)


def test_what_is_stored_is_held_against_the_rule(tmp_path):
    build = build_small(tmp_path)
    build.write()
    build.run.close()
    assert any("nothing is selected yet" in warning for warning in look(tmp_path).warnings)
    with Run.create(tmp_path) as run:
        for table in ("demos", "pairs"):
            run.replace(table, TABLES[table].frame())
    assert any("out of date: 2 changes against" in warning for warning in look(tmp_path).warnings)


def test_holes_of_imported_responses_are_not_pending(tmp_path):
    build = Build(tmp_path)
    build.prompt("p0")
    source = {"model": "old", "sampling": "imported", "type": "responses", "n": 3}
    build.run.replace("sources", TABLES["sources"].frame([source]))
    report = build.finish()
    assert (report.sources[0].wanted, report.sources[0].pending) == (0, 0)
    assert report.funnel[2].lost == [Loss("no response in the imported files", 1)]
    assert any(warning == "old: gave no response at all" for warning in report.warnings)


def test_responses_follow_a_prompt_that_was_renamed(tmp_path):
    build = Build(tmp_path)
    build.prompt("p0")
    build.answer("p0", "llama", 0, "7", "passed", 0.2)
    build.rows["prompts"][0]["prompt_id"] = "renamed"
    report = build.finish()
    assert report.answers == [Use("right", 1)]
    assert (by_model(report)["llama"].responses, by_model(report)["llama"].mean_chars) == (1, 1.0)


def test_rows_of_another_recipe_are_stored_but_not_current(tmp_path):
    build = build_small(tmp_path)
    build.run.append("responses", [{"response_id": "stray", "prompt_id": "p0", "model": "gone", "sampling": "{}", "text": "7"}])
    report = build.finish()
    assert (report.tables["responses"], report.current["responses"]) == (11, 10)
    assert list(by_model(report)) == ["llama", "qwen"]


# ------------------------------------------------------------------------------------------------------------------ exports


@pytest.fixture(scope="module")
def exported(small_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "out"
    export_runs([small_folder], folder, Wish())
    return folder


def test_an_export_of_pairs(exported, small):
    report = inspect(exported / "dpo")
    assert report.run == replace(small.run, kind="export", folder=str(exported / "dpo"))
    assert report.tables == {"pairs": 1}
    assert report.pairs == small.pairs
    assert [(source.model, source.pairs, source.responses) for source in report.sources] == [
        ("llama", 1, None),
        ("qwen", 0, None),
    ]
    assert [limit.name for limit in report.limits] == ["min_pairs", "max_chosen_longer_share"]
    assert (report.ok, report.warnings, report.examples) == (False, [], small.examples)
    json.dumps(report.as_json(), allow_nan=False)
    assert "1 pair" in drawn(report)


def test_an_export_of_demos(exported):
    report = inspect(exported / "sft")
    assert (report.tables, report.limits, report.ok) == ({"demos": 1}, [], True)
    assert set(astuple(report.pairs)) == {None}
    assert "exported: 1 demo" in drawn(report)


def test_a_folder_of_exports(exported):
    report = inspect(exported)
    assert report.tables == {"demos": 1, "pairs": 1}
    assert (by_model(report)["llama"].demos, by_model(report)["llama"].pairs) == (1, 1)


def test_an_export_that_was_changed(exported, tmp_path):
    manifest = json.loads((exported / "sft" / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"rows": 3}))
    (tmp_path / "train.parquet").write_bytes((exported / "sft" / "train.parquet").read_bytes())
    assert ["its manifest says 3" in warning for warning in inspect(tmp_path).warnings] == [True]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "there is no such folder"),
        ({}, "neither a run .* nor an export"),
        ({"manifest.json": "{"}, "manifest.json: not a readable manifest"),
        ({"manifest.json": '{"kind": "web"}'}, "not the manifest of an export"),
        ({"manifest.json": '{"kind": "dpo"}'}, "train.parquet: not the data of an export"),
        ({"manifest.json": '{"kind": "dpo"}', "train.parquet": "x"}, "train.parquet: not the data of an export"),
    ],
)
def test_what_is_neither_run_nor_export(tmp_path, files, words):
    folder = tmp_path / "it"
    if files is not None:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    with pytest.raises(BadInput, match=words):
        inspect(folder)


# -------------------------------------------------------------------------------------------------------------- the drawing


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_drawing_shows_the_numbers(small, width):
    lines = [" ".join(line.split()) for line in drawn(small, width).splitlines()]
    assert max(len(line) for line in drawn(small, width).splitlines()) <= width
    assert any(line.startswith("prompts read 5 100%") for line in lines)
    assert any("- right and wrong in" in line for line in lines)
    assert "stored: 1 pair, 1 demo" in lines
    if width >= 80:
        assert "llama 2 5 of 8 80% 0% 75% 5.2 1 1" in lines
        assert "ABOVE max_chosen_longer_share: 1.000, at most 0.800" in lines


def test_names_are_whole_where_there_is_room(small):
    model = "organisation/a-model-with-a-name-of-fifty-characters-instruct"
    report = renamed(small, {"llama": model})
    line = rf"{model.partition('/')[2]} +2 +5 of 8"
    assert re.search(line, drawn(report, width=140)) and not re.search(line, drawn(report, width=100))


def test_the_drawing_has_no_colours_in_a_pipe_and_no_blocks_in_ascii(small):
    assert "\x1b" not in drawn(small)
    assert "█" in drawn(small)
    assert "####" in drawn(small, encoding="ascii")


def test_text_that_looks_like_markup_or_moves_the_cursor(tmp_path):
    build = Build(tmp_path, models=("../models/a", "../models/b"))
    build.prompt("p0", content="[bold]Was [/bold] 是 [/]?")
    build.answer("p0", "../models/a", 0, "[/bold] [red]7\x1b[2J", "passed", 0.2)
    build.answer("p0", "../models/a", 1, "[link=x]8" + "z" * 900, "failed", 0.1)
    build.failure(build.response_id("p0", "../models/b", 0), "../models/b", message="[/nonsense]")
    report = build.finish()
    text = drawn(report)
    for part in ("[bold]Was [/bold] 是 [/]?", "[/bold] [red]7?[2J", "[link=x]8z", "[/nonsense]", "chosen: a, score 0.200"):
        assert part in text
    assert "\x1b" not in text
    assert "characters ...]" in " ".join(text.split())
    assert "\\u662f" in drawn(report, encoding="ascii")


@pytest.mark.parametrize(
    ("models", "short"),
    [
        (["../data/micro/llama", "../data/micro/qwen2"], ["llama", "qwen2"]),
        (["a/base", "b/base", "c"], ["a/base", "b/base", "c"]),
        (["google/gemma-2-27b-it"], ["gemma-2-27b-it"]),
        (["x" * 40], ["x" * 11 + ".." + "x" * 11]),
        (["x" * 20 + "1" + "x" * 20, "x" * 20 + "2" + "x" * 20], ["x" * 20 + "1" + "x" * 20, "x" * 20 + "2" + "x" * 20]),
    ],
)
def test_short_names(models, short):
    assert list(short_names(models).values()) == short


def test_a_pipe_is_a_hundred_columns_wide(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert open_console().width == 100
