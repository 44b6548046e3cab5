"""The report as a file: what is in it, what must not be in it, and that it does not grow with the run."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from datakit.audit.inspect import inspect
from datakit.audit.plotted import (
    Accuracy,
    Histogram,
    Kind,
    Latency,
    LengthCell,
    LengthMedian,
    MarginHistogram,
    RankCell,
    Share,
    Way,
)
from datakit.audit.report import Agreement, Curation, CurationReason, Ending, Failure, Report
from datakit.evaluation.table import Difference, Evaluation, Mean, Results, Score, read_evaluation
from datakit.page.figure import Subject, draw_figures
from datakit.page.plots_answers import ANSWERS
from datakit.page.plots_scores import SCORES
from datakit.page.report import name_folders, render_evaluation, render_report
from datakit.sample.spending import SourceSpent
from datakit.tables.intervals import wilson
from tests.helpers.command import datakit
from tests.page.conftest import EVIL_MODEL

MOST_BYTES = 700_000
TITLES = (
    *(
        "From prompts to pairs",
        "Whose answers each step keeps",
        "What the verifier found",
        "How answers were found in the texts",
    ),
    *("Is the judge right, and from which margin on?", "Margins by judge", "Margins by source", "Score against length"),
    "Length of the chosen answer by that of the rejected one",
)


@pytest.fixture(scope="module")
def report(evil_run) -> Report:
    return inspect(evil_run)


@pytest.fixture(scope="module")
def page(report) -> str:
    return render_report([report])


class Tags(HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def table(page: str, title: str) -> list[list[str]]:
    """The cells below a plot, the head first."""
    [part] = re.findall(rf'aria-label="Numbers: {re.escape(title)}".*?</table>', page, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]


# ------------------------------------------------------------------------------------------------------ what is in it


def test_every_plot_has_a_sentence_and_its_numbers(page: str) -> None:
    for title in TITLES:
        assert f"<h3>{title}</h3>" in page
        assert len(table(page, title)) > 1
    assert (
        page.count("<figure>") == page.count("<figcaption>") == page.count('<svg role="img"') == page.count('class="bad">Bad:')
    )


def test_the_numbers_are_those_of_the_report(report: Report, page: str) -> None:
    head, *rows = table(page, "From prompts to pairs")
    assert head == ["step", "prompts", "of all", "lost before it", "to SFT"]
    assert [row[1] for row in rows] == [str(step.prompts) for step in report.funnel]
    _, *rows = table(page, "What the verifier found")
    assert [(row[1], row[2], row[3]) for row in rows] == 2 * [("right", "24", "66.7%"), ("wrong answer", "12", "33.3%")]
    _, *rows = table(page, "How often prompts are solved")
    assert [row[1:3] for row in rows] == 2 * [["more than half", "12"]], "two of three are right"
    _, *rows = table(page, "pass@k by source")
    assert [row[1:3] for row in rows[:3]] == [["1", "66.7%"], ["2", "100.0%"], ["3", "100.0%"]]
    _, *rows = table(page, "Lengths of chosen and rejected answers, before and after the rule")
    assert [row[:2] for row in rows[::2]] == [["candidates: chosen", "24"], ["pairs: chosen", "12"]]
    head, *rows = table(page, "Does the longer answer score higher?")
    assert head[3:] == ["95% from", "95% to"]
    assert [row[:3] for row in rows] == [["both right", "24", "100.0%"]], "of two right answers the long one scores 0.9"
    _, *rows = table(page, "What twice the length is worth, by source")
    assert all(float(row[1]) > 0 for row in rows) and len(rows) == 2
    _, *rows = table(page, "How often the chosen answer is the longer one")
    assert report.lengths is not None
    assert [row[:3] for row in rows] == [["this rule", "12", f"{report.lengths.after.longer_share:.1%}"]]
    _, *rows = table(page, "How answers were found in the texts")
    assert [(row[1], row[2], row[6]) for row in rows] == 2 * [("box", "36", "66.7%")]


def test_rates_have_intervals(report: Report, page: str) -> None:
    """Of prompts, not of answers: 24 of 36 right answers to 12 prompts are as sure as 8 of 12."""
    for title in ("What the verifier found", "How often prompts are solved", "How answers were found in the texts"):
        assert table(page, title)[0][4:6] == ["95% from", "95% to"]
    low, high = wilson(2 / 3, 12)
    assert table(page, "What the verifier found")[1][3:6] == ["66.7%", f"{low:.1%}", f"{high:.1%}"]
    assert f"66.7% ({low:.1%}..{high:.1%})" in page, "of a source"
    longer = report.pairs.chosen_longer_share
    assert longer is not None and report.pairs.count is not None
    low, high = wilson(longer, report.pairs.count)
    assert f"{longer:.1%} ({low:.1%}..{high:.1%})" in page
    scores = report.scores
    assert scores is not None and scores.accuracy_low is not None and scores.ranking_accuracy is not None
    assert scores.accuracy_low == wilson(scores.ranking_accuracy, scores.comparisons).low, "prompts are alike"
    assert f"{scores.ranking_accuracy:.1%} ({scores.accuracy_low:.1%}.." in page


def test_plots_that_this_run_has_nothing_for(report: Report) -> None:
    """How answers end, how long they take, what they cost, and two judges."""
    assert report.plotted is not None
    source = replace(report.sources[0], endings=[Ending("length", 6)], failures=4)
    agreement = Agreement("given", "other", 36, 0.5, 24, 12, 12, 0, 0.5, 0.0)
    spent = SourceSpent(source.model, None, "", 36, 36, 36, 36, 0, 1_000, 2_000, None, 0.5)
    plotted = replace(
        report.plotted,
        ranks=[RankCell("given", "other", 0.0, 0.5, 7), RankCell("given", "other", 0.5, 0.5, 9)],
        latency=[Latency(source.model, 36, [0.1, 0.2, 0.3, 0.4, 2.5])],
        spending=[spent],
    )
    found = replace(report, sources=[source], agreement=[agreement], plotted=plotted)
    wanted = ("How answers ended", "Seconds that an answer took", "Cost by source", "Do the judges agree?")
    figures = [figure for figure in (*ANSWERS, *SCORES) if figure.title in wanted]
    ended, took, cost, agreed = (one.cells for one in draw_figures(figures, [Subject("run", found, {})]))
    assert [row[1:4] for row in ended] == [["complete", "30", "75.0%"], ["length", "6", "15.0%"], ["failed", "4", "10.0%"]]
    assert took[0][2:] == ["0.100", "0.200", "0.300", "0.400", "2.500"]
    assert cost[0][1] == "0.500" and agreed[0] == ["given, other: Spearman 0.500", "0.0%", "50.0%", "7"]


def test_the_accuracy_by_margin_is_that_of_the_scores(report: Report) -> None:
    """Right answers score 0.9 and 0.5, wrong ones 0.6 in two prompts of three, else 0.2: by hand, of two sources."""
    assert report.plotted is not None
    found = report.plotted.accuracy
    assert sum(one.comparisons for one in found) == 48
    won = {round(one.low, 6): one.accuracy for one in found}
    assert won == {0.1: 0.0, 0.3: 1.0, 0.7: 1.0}, "0.6 beats 0.5; 0.9 beats 0.6 and 0.5 beats 0.2 by 0.3; 0.9 beats 0.2 by 0.7"
    assert all(one.lower < one.accuracy + 1e-9 and one.accuracy - 1e-9 < one.upper for one in found)


def test_the_keys_of_json_are_a_contract(report: Report) -> None:
    """Those of a run without a verifier stand in tests/audit/test_judges.py."""
    plotted = report.as_json()["plotted"]
    assert {
        name: " ".join(plotted[name][0])
        for name in ("kinds", "ways", "solved", "matrix", "lengths", "accuracy", "length_medians")
    } == {
        "kinds": "model kind responses",
        "ways": "model way passed failed",
        "solved": "model answers passed prompts",
        "matrix": "model rejected_model pairs",
        "lengths": "step side n chars",
        "accuracy": "judge low high comparisons prompts accuracy lower upper",
        "length_medians": "judge model chars_low chars_high answers median",
    }


def test_several_runs_stand_side_by_side(report: Report, page: str) -> None:
    other = replace(report, run=replace(report.run, folder="elsewhere/other"))
    both = render_report([report, other])
    assert re.search(r'<th scope="col" class="n">run</th><th scope="col" class="n">other</th>', both)
    assert {row[0] for row in table(both, "Margins by judge")[1:]} == {"run", "other"}
    assert both.count("<figure>") == page.count("<figure>")


def test_two_runs_of_one_name_are_told_apart() -> None:
    assert name_folders(["a/run", "b/run"]) == ["a/run", "b/run"]
    assert name_folders(["a/run", "b/other\u202e"]) == ["run", "other?"]


def test_an_export_has_the_plots_of_its_pairs(evil_run: Path) -> None:
    page = render_report([inspect(evil_run / "dpo")])
    assert "<h3>Margins by judge</h3>" in page and "<h3>From prompts to pairs</h3>" not in page
    assert "an export does not say" in page


# -------------------------------------------------------------------------------------------------- what is not in it


def test_nothing_in_it_can_act(page: str) -> None:
    found = Tags(page)
    assert {tag for tag, _ in found.tags} & {"script", "img", "iframe", "object", "embed", "link", "form", "base", "b"} == set()
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("href", "xlink:href", "src"):
            assert (attributes.get(name) or "#").startswith("#")
    style = "".join(re.findall(r"<style>.*?</style>", page, re.DOTALL))
    assert "url(" not in style and "@import" not in style


def test_text_of_others_is_there_as_text(page: str) -> None:
    text = Tags(page).text
    assert "<script>alert('x')</script>" in text and EVIL_MODEL in text and "{{ 7 * 7 }}" in text
    assert "\u202e" not in page and "\u200b" not in page and "U+202E" in text


def test_ids_are_unique(page: str) -> None:
    ids = [attributes["id"] for _, attributes in Tags(page).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(ids)


def big(report: Report) -> Report:
    """Fourteen sources, three judges, millions of answers, long names, hundreds of failures, texts of a million characters."""
    models = [f"organisation/a-model-with-a-long-name-{at:02}-instruct" for at in range(14)]
    judges, steps = ["judge-a", "judge-b", "judge-c"], ["responses", "right", "candidates", "pairs", "demos"]
    kinds = ["right", "assertion", "syntax", "timeout", "memory"]
    bins = Histogram([at / 20 - 0.123456789 for at in range(21)], [10**6 + at for at in range(20)])
    assert report.plotted is not None
    plotted = replace(
        report.plotted,
        shares=[Share(step, model, 10**6) for step in steps for model in models],
        kinds=[Kind(model, kind, 10**6) for model in models for kind in kinds],
        ways=[Way(model, f"way {at}", 10**6, 10**5) for model in models for at in range(12)],
        accuracy=[Accuracy(judge, at / 7, at / 7 + 1, 10**6, 10**5, 0.7, 0.6, 0.8) for judge in judges for at in range(10)],
        length_cells=[
            LengthCell(judge, 10 * 1.3**x, 13 * 1.3**x, y / 7, y / 7 + 0.1, 10**6)
            for judge in judges
            for x in range(16)
            for y in range(12)
        ],
        length_medians=[
            LengthMedian(judge, model, 10 * 1.3**x, 13 * 1.3**x, 10**6, x / 7)
            for judge in judges
            for model in (None, *models)
            for x in range(16)
        ],
        margins=[MarginHistogram(judge, model, bins) for judge in judges for model in (None, *models)],
    )
    return replace(
        report,
        sources=[replace(report.sources[0], model=model, responses=10**6) for model in models],
        examples=[replace(report.examples[0], chosen="w " * 10**6, rejected="<&" * 10**6)] * 3,
        failures=[Failure("sample", models[0], f"error {at}", True, 10**5, "x" * 10**4) for at in range(300)],
        warnings=["a warning " * 20] * 200,
        margins=[replace(report.margins[0], judge=judge) for judge in judges],
        run=replace(report.run, judge=judges[0]),
        curation=Curation(10, 9, [CurationReason(f"reason {at}", 10, True) for at in range(20)], [], [], bins, []),
        plotted=plotted,
    )


def test_a_page_does_not_grow_with_the_run(report: Report) -> None:
    page = render_report([big(report)])
    assert len(page.encode()) < MOST_BYTES
    assert "other sources" in page and "How near the kept prompts are to a benchmark" in page


# --------------------------------------------------------------------------------------------------------- evaluations


def evaluation() -> Evaluation:
    endings = {"right": 60, "wrong": 30, "no_answer": 10}
    scores = [
        Score(model, 100, 100, value, value - 0.1, value + 0.1, 0.05, value, value, endings, {}, [])
        for model, value in (("base", 0.6), (EVIL_MODEL, 0.7))
    ]
    difference = Difference(EVIL_MODEL, 100, 0.1, 0.04, 0.02, 0.18, 20, 10, 0.09, "McNemar")
    results = [
        Results(name, "v1", "x", "math@3", "accuracy", 100, 1, 0.1, None, scores, [difference], [])
        for name in ("gsm8k", "math")
    ]
    return Evaluation("suite", "base", ["base", EVIL_MODEL], results, [Mean("base", 0.6, 0.03, None, None)], [])


def test_an_evaluation_is_drawn(tmp_path: Path) -> None:
    page = render_evaluation({"mine": evaluation()})
    head, *rows = table(page, "Differences from the base, prompt by prompt")
    assert head[2] == "minus base"
    assert rows[0][2:8] == ["10.0%", "2.0%", "18.0%", "20", "10", "0.090"]
    assert [row[2] for row in table(page, "Scores")[1:]] == 2 * ["60.0%", "70.0%"]
    assert not [tag for tag, _ in Tags(page).tags if tag in ("script", "b")]


def test_the_command_reads_what_eval_wrote(tmp_path: Path) -> None:
    from datakit.tables import as_json

    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "eval.json").write_text(as_json(evaluation().as_json()))
    assert read_evaluation(folder / "eval.json") == evaluation()
    assert datakit("report", folder).returncode == 0
    assert "<h3>Scores</h3>" in (folder / "report.html").read_text()
    (folder / "eval.json").write_text('{"suite": 3}')
    done = datakit("report", folder)
    assert done.returncode == 2 and "not what datakit eval wrote" in done.stderr
    done = datakit("report", folder, tmp_path, "-o", tmp_path / "x.html")
    assert done.returncode == 2 and "write one report for each kind" in done.stderr


# --------------------------------------------------------------------------------------------------------- the command


def test_the_command_writes_where_it_is_told(evil_run: Path, tmp_path: Path) -> None:
    done = datakit("report", evil_run, "-o", tmp_path / "mine.html")
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "mine.html").read_text().startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]
    for args, said in (
        ((evil_run, evil_run), "name the file with -o FILE.html"),
        ((evil_run, "-o", tmp_path / "no" / "x.html"), "there is no folder"),
        ((tmp_path / "nothing",), "there is no such folder"),
        ((evil_run, "-o", tmp_path), "is a folder"),
    ):
        done = datakit("report", *args)
        assert done.returncode == 2 and said in done.stderr


def test_a_build_ends_with_the_report(evil_run: Path) -> None:
    recipe = evil_run.with_suffix(".yaml")
    done = datakit("build", "--recipe", recipe, "--out", evil_run, env={"DATAKIT_REPORT": "1"})
    assert done.returncode == 0 and f"report: {evil_run / 'report.html'}" in done.stderr
    assert f"<title>{evil_run.name}: datakit report</title>" in (evil_run / "report.html").read_text()


def test_without_the_extra_one_line_says_how_to_get_it(evil_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (evil_run / "report.html").unlink(missing_ok=True)
    monkeypatch.setitem(sys.modules, "vl_convert", None)  # as where it is not installed
    recipe = evil_run.with_suffix(".yaml")
    done = datakit("build", "--recipe", recipe, "--out", evil_run, env={"DATAKIT_REPORT": "1"})
    assert done.returncode == 0 and "pip install 'fuse-datakit[view]'" in done.stderr
    assert not (evil_run / "report.html").exists()
    done = datakit("report", evil_run)
    assert done.returncode == 2 and "pip install 'fuse-datakit[view]'" in done.stderr
