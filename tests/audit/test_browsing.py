"""Pages by keyset, the lineage of a prompt, texts by their place: each held to the slow way."""

from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import pytest

from datakit.audit.browsing import Browsing
from datakit.audit.finding import Filter, Finder
from datakit.audit.lineage import read_lineage
from datakit.audit.report import Loss
from datakit.errors import BadInput
from datakit.select.rule import make_candidates, select_pairs
from datakit.store import Run
from datakit.store.places import GROUPS_KEPT, Place, Places
from datakit.tables.compared import compared
from tests.audit.test_audit import Build
from tests.helpers.waiting import wait_for
from tests.page.looked_at import make_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("browsing") / "run")


@pytest.fixture(scope="module")
def browsing(folder):
    with Run.open(folder) as run:
        found = Browsing(run)
        yield found
        found.close()


@pytest.mark.parametrize("descends", [False, True])
@pytest.mark.parametrize("sort", ["n", "margin", "longer", "against"])
@pytest.mark.parametrize("more", [{"reason": "any"}, {"source": "qwen"}, {"against": True}], ids=str)
def test_pages_forward_and_back_show_every_candidate_once_and_in_order(browsing, sort, descends, more):
    wanted = Filter(sort=sort, descends=descends, **more)
    finder = Finder(browsing.run)

    def find(anchor=None, forward=True, most=7):
        return finder.find(wanted, browsing.facets.sources.index("qwen") + 1, None, anchor, forward, most)

    order = find(most=1_000).numbers
    assert len(order) == find().total and not find(most=len(order)).more
    pages, anchor = [], None
    while True:
        page = find(anchor)
        pages.append(page.numbers)
        assert page.total == len(order)
        if not page.more:
            break
        anchor = pages[-1][-1]
    assert [n for page in pages for n in page] == order
    for before, after in pairwise(pages):
        back = find(after[0], forward=False)
        assert back.numbers == before and back.more == (before is not pages[0])
    rows = {row["n"]: row for row in browsing.run.query("SELECT * FROM browsed").to_dicts()}
    keys = {
        "margin": lambda row: row["margin"],
        "longer": lambda row: -row["log_length_ratio"],
        "against": lambda row: -row["against"],
    }
    found = [(keys[sort](rows[n]), n) for n in order if keys.get(sort) and (sort == "against" or rows[n]["margin"] is not None)]
    assert [key for key, _ in found] == sorted((key for key, _ in found), reverse=descends)
    assert all(one[1] < other[1] for one, other in pairwise(found) if one[0] == other[0]), "ties by number"


def test_a_page_knows_whether_others_come_before_and_after_it(browsing):
    first = browsing.page(Filter(), most=7)
    assert (first.first, first.last) == (True, False)
    later = browsing.page(Filter(), first.rows[-1]["n"], most=7)
    assert (later.first, later.last) == (False, False)
    back = browsing.page(Filter(), later.rows[0]["n"], forward=False, most=7)
    assert (back.first, back.last, back.rows) == (True, False, first.rows)
    whole = browsing.page(Filter(), most=1_000)
    assert (whole.first, whole.last, whole.total) == (True, True, len(whole.rows))


def test_a_page_beside_a_candidate_that_the_filter_leaves_out_goes_on_from_its_place(browsing):
    """As when a filter is changed on a later page."""
    every = browsing.page(Filter(reason="any"), most=1_000).rows
    llama = [row["n"] for row in every if row["model"] == "llama" and row["lost"] is None]
    other = next(row["n"] for row in every if row["model"] != "llama" and row["n"] > llama[2])
    found = [row["n"] for row in browsing.page(Filter(source="llama"), other, most=3).rows]
    assert found == [n for n in llama if n > other][:3]


def test_the_candidates_are_those_of_the_rule(folder, browsing):
    with Run.open(folder) as run:
        make_candidates(run, browsing.rule)
        expected = select_pairs(run, browsing.rule)
        lost = dict(run.query("SELECT lost, count(*) FROM pair_candidates GROUP BY lost").rows())
    kept = ["prompt_id", "model", "rejected_model", "chosen_id", "rejected_id", "margin", "chosen_score", "rejected_score"]
    rows = browsing.page(Filter(), most=1_000).rows
    assert sorted(expected.select(kept).rows()) == sorted(tuple(row[name] for name in kept) for row in rows)
    assert browsing.facets.reasons == {reason or "pair": n for reason, n in lost.items()}


def test_every_text_is_that_of_its_id(folder, browsing):
    with Run.open(folder) as run:
        texts = dict(run.query("SELECT response_id, text FROM responses").rows())
        asked = dict(run.query("SELECT prompt_id, messages FROM prompts").rows())
    for row in browsing.page(Filter(reason="any"), most=1_000).rows:
        for side in ("chosen", "rejected"):
            assert (row[side] or {}).get("text") == texts.get(row[f"{side}_id"])
        assert row["prompt"]["messages"] == asked[row["prompt_id"]]


def test_while_a_build_writes_texts_in_a_journal_are_shown_and_found(tmp_path):
    build = Build(tmp_path / "run", n=2)
    for name, reads in (("p0", "alpha"), ("p1", "omega")):
        build.prompt(name, content=f"{reads}?")
        build.answer(name, "llama", 0, f"right {name}", "passed", 0.9)
        build.answer(name, "llama", 1, f"wrong {name}", "failed", 0.1)
    loose = [
        {**row, "n_chars": compared(row["text"])[0], "text_hash": compared(row["text"])[1]}
        for row in build.rows.pop("responses")
    ]
    build.write()
    build.run.journal("responses").append(loose)
    with Run.open(tmp_path / "run") as run:
        browsing = Browsing(run)
        rows = browsing.page(Filter()).rows
        assert [(row["chosen"]["text"], row["rejected"]["text"]) for row in rows] == [
            (f"right {p}", f"wrong {p}") for p in ("p0", "p1")
        ]
        for words, found in (("RIGHT p1", ["p1"]), ("alpha", ["p0"])):
            wait_for(partial(is_searched, browsing, words))
            assert [row["prompt_id"] for row in browsing.page(Filter(words=words)).rows] == found
        browsing.close()
    build.run.close()


def is_searched(browsing, words):
    return browsing.page(Filter(words=words)).searched == 1


# ----------------------------------------------------------------------------------------------------------------- lineage


def test_every_answer_has_the_rule_that_it_was_lost_to(tmp_path):
    build = Build(tmp_path / "run", n=9, select={"margin": [0.2, 1.0]})
    build.prompt("p")
    build.answer("p", "llama", 0, "best", "passed", 0.9)
    build.answer("p", "llama", 1, "second", "passed", 0.8)
    build.answer("p", "llama", 2, "best", "passed", 0.9)
    build.answer("p", "llama", 3, "worst", "failed", 0.1)
    build.answer("p", "llama", 4, "less bad", "failed", 0.2)
    build.answer("p", "llama", 5, "cut", "failed", 0.0, finish="length")
    build.answer("p", "llama", 6, "hm", "unparseable", 0.3)
    build.answer("p", "llama", 7, "unseen", None, 0.4)
    build.answer("p", "llama", 8, "unscored", "passed", None)
    build.answer("p", "qwen", 0, "right", "passed", 0.55)
    build.answer("p", "qwen", 1, "near", "failed", 0.5)
    build.prompt("q")
    build.answer("q", "llama", 0, "only", "passed", 0.7)
    build.finish()
    with Run.open(tmp_path / "run") as run:
        browsing = Browsing(run)
        fates = {row["text"]: row["fate"] for row in browsing.lineage("p").answers if row["sample_index"] != 2}
        repeated = {row["fate"] for row in browsing.lineage("p").answers if row["text"] == "best"}
        demo = browsing.lineage("q").answers[0]["fate"]
        browsing.close()
    assert repeated == {"chosen", "repeated text"}
    assert demo == "demo"
    assert {text: fate for text, fate in fates.items() if text != "best"} == {
        "second": "another right answer goes first",
        "worst": "rejected",
        "less bad": "another wrong answer goes first",
        "cut": "not complete: length",
        "hm": "cannot judge: unparseable",
        "unseen": "no verdict",
        "unscored": "no score",
        "right": "best right answer: margin below the window",
        "near": "worst wrong answer: margin below the window",
    }


def test_a_right_answer_of_a_source_that_is_right_too_rarely_is_called_so(tmp_path):
    build = Build(tmp_path / "run", n=4, select={"pass_rate_min": 0.5})
    build.prompt("p")
    build.answer("p", "llama", 0, "lucky", "passed", 0.9)
    for at in (1, 2, 3):
        build.answer("p", "llama", at, f"wrong {at}", "failed", 0.1 * at)
    report = build.finish()
    assert {row.use: row.responses for row in report.answers} == {"wrong": 3, "its source is right too rarely": 1}
    assert report.funnel[3].lost == [Loss("sources are right too rarely", 1)]
    with Run.open(tmp_path / "run") as run:
        lineage = read_lineage(run, "p")
    assert lineage.answers[0]["fate"] == "its source is right too rarely"
    assert lineage.candidates[0]["why"] == (
        "No pair: no right answer. Of 4 answers of llama 0 are right and 3 wrong (1 of no use: a text again, cut off, or not "
        "judged)."
    )


def test_a_lineage_has_scores_of_all_judges_verdicts_and_failures(browsing):
    lineage = browsing.lineage("p/03")
    assert [row["model"] for row in lineage.answers] == ["qwen", "qwen"]
    assert [list(row["by_judge"]) for row in lineage.answers] == [["armorm@r1", "other@1"]] * 2
    assert lineage.answers[0]["by_judge"] == {"armorm@r1": 0.47, "other@1": float(len(lineage.answers[0]["text"]))}
    assert lineage.failures[0]["error"] == "status 400"
    assert browsing.lineage("d/0").overlaps[0]["met"] == "bench/9"


def test_the_lineage_of_one_prompt_alone_is_that_of_the_whole_index(folder, browsing):
    for prompt_id in ("p/03", "p/05", "d/0"):
        with Run.open(folder) as run:
            alone = read_lineage(run, prompt_id)
        whole = browsing.lineage(prompt_id)
        assert [plain(row) for row in alone.answers] == [plain(row) for row in whole.answers]
        assert [row["why"] for row in alone.candidates] == [row["why"] for row in whole.candidates]
        assert (alone.prompt, alone.failures, alone.overlaps) == (whole.prompt, whole.failures, whole.overlaps)


def plain(answer):
    """Without where it lies."""
    return {name: value for name, value in answer.items() if not name.endswith(("part", "row"))}


def test_a_prompt_that_is_not_there_is_bad_input(browsing):
    with pytest.raises(BadInput, match="no prompt has the id 'nobody'"):
        browsing.lineage("nobody")
    with Run.open(browsing.run.folder) as run, pytest.raises(BadInput, match="no prompt has the id 'nobody'"):
        read_lineage(run, "nobody")


# ------------------------------------------------------------------------------------------------------------------ places


def test_rows_by_place_are_the_rows_also_when_the_part_is_replaced(tmp_path):
    with Run.create(tmp_path) as run:
        rows = [{"prompt_id": f"p{at}", "source": f"s{at}"} for at in range(20)]
        run.append("prompts", rows[:12])
        run.append("prompts", rows[12:])
        run.replace("demos", run.query("SELECT prompt_id, 'old' AS response_id, 1.0::DOUBLE AS score FROM prompts"))
        places, demos = Places(tmp_path, "prompts"), Places(tmp_path, "demos")
        found = places.read([Place(1, 7), Place(0, 0), Place(0, 11), Place(0, 0)], ("prompt_id", "source"))
        assert found == {Place(1, 7): rows[19], Place(0, 0): rows[0], Place(0, 11): rows[11]}
        run.replace("demos", run.query("SELECT prompt_id, 'new' AS response_id, 2.0::DOUBLE AS score FROM prompts"))
        assert demos.read([Place(0, 3)], ("response_id",)) == {Place(0, 3): {"response_id": "old"}}
        assert run.query(f"SELECT count(*) FROM ({places.indexed('prompt_id')})").item() == 20
        assert [(part, hits) for part, hits, _ in places.search("source", "S19")] == [(0, []), (1, [7])]
        places.close()
        demos.close()


def test_few_groups_of_rows_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("datakit.store.parts.ROWS_AT_A_TIME", 2)
    with Run.create(tmp_path) as run:
        run.append("demos", [{"prompt_id": f"p{at}", "response_id": "r"} for at in range(100)])
    places = Places(tmp_path, "demos")
    wanted = [Place(0, at) for at in range(0, 100, 3)]
    found = places.read(wanted, ("prompt_id",))
    assert [found[place]["prompt_id"] for place in wanted] == [f"p{at}" for at in range(0, 100, 3)]
    assert len(places._groups) == GROUPS_KEPT
    places.close()


def test_flags_of_a_pair_its_answers_and_its_prompt_are_shown_with_it(folder, browsing):
    row = browsing.page(Filter()).rows[0]
    ids = [
        {"target": "prompt", "prompt_id": row["prompt_id"]},
        {"target": "response", "response_id": row["rejected_id"]},
        {"target": "pair", "chosen_id": row["chosen_id"], "rejected_id": row["rejected_id"]},
        {"target": "pair", "chosen_id": row["chosen_id"], "rejected_id": "another"},
    ]
    for one in ids:
        browsing.flag(one, "keep", None, "ann")
    again = browsing.page(Filter(flagged="keep"))
    assert [flag["target"] for flag in again.rows[0]["flags"]] == ["pair", "response", "prompt"]
    assert row["prompt_id"] in {one["prompt_id"] for one in again.rows}
    assert any(flag["rejected_id"] == "another" for flag in browsing.flags())  # no pair, and still shown
    assert browsing.flags()[0]["at"].tzinfo is not None and browsing.flags()[0]["at"] <= datetime.now(UTC)
