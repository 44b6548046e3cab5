"""The selection rule: small tables in, exact rows out, and the whole rule once more in slow plain Python to compare with.

The rule is FuseChat-3.0's (README of SLIT-AI/FuseChat-3.0, "Data Construction"): pairs are the best right answer against the
worst wrong answer of the same source model, inside a window of score differences; demos the right answer with the best score.
"""

import hashlib
import random
import tempfile
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from itertools import groupby
from math import floor, inf, isfinite, log, nan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.domains import DOMAINS, domain_of
from datakit.errors import BadInput
from datakit.recipe import VerifyMath, parse
from datakit.rewards.judges import chosen_judge
from datakit.select.rule import make_candidates, rule_of, select_demos, select_pairs
from datakit.store import Run, load_sql
from datakit.store.database import VIEWS
from datakit.tables import OUTCOMES, TABLES, make_response_id
from datakit.tables.compared import compared
from tests.helpers.laws import examples

JUDGE = "armorm@1"
SAMPLING = '{"temperature":0.8}'
GOLD = "digest of the gold"
NOTHING = "no text: a thought that never ended"


@dataclass(frozen=True)
class OnlyVerdicts:
    """As much of a domain as selection reads: the verifier's name, and what it calls wrong."""

    verifier: str | None
    wrong: frozenset[str]


KINDS: dict[str, Any] = {
    "checked": OnlyVerdicts("checked@2", frozenset({"failed"})),  # as math: a timeout is the checker's own
    "executed": OnlyVerdicts("executed@2", frozenset({"failed", "timeout"})),  # as code: a timeout is the program's
    "unchecked": OnlyVerdicts(None, frozenset()),  # as instruction following: no verdicts at all
}


@pytest.fixture(scope="module", autouse=True)
def domains():
    with pytest.MonkeyPatch.context() as patch:
        for name, kind in KINDS.items():
            verifier = SimpleNamespace(name=kind.verifier, wrong=kind.wrong) if kind.verifier else None
            patch.setitem(DOMAINS, name, partial(lambda domain, options: domain, SimpleNamespace(verifier=verifier)))
        yield


@dataclass(frozen=True)
class Answer:
    """A response with its verdict and its score. Its id follows from prompt, model and index, as in a run."""

    prompt: str
    model: str
    score: float | None = None
    outcome: str | None = None
    text: str | None = None
    index: int = 0
    finish: str | None = "stop"

    @property
    def id(self):
        return make_response_id(self.prompt, self.model, None, SAMPLING, self.index)

    @property
    def content(self):
        return f"answer {self.id}" if self.text is None else None if self.text == NOTHING else self.text


def numbered(answers):
    """Answers with an index of their own within prompt and model."""
    seen = {}
    result = []
    for answer in answers:
        seen[answer.prompt, answer.model] = index = seen.get((answer.prompt, answer.model), -1) + 1
        result.append(replace(answer, index=index))
    return result


def right(prompt, model, score, **more):
    return Answer(prompt, model, score, "passed", **more)


def wrong(prompt, model, score, **more):
    return Answer(prompt, model, score, "failed", **more)


def recipe_of(domain="checked", judged=True, **select):
    values = {
        "domain": domain,
        "prompts": [{"type": "file", "path": "p"}],
        "sources": [{"type": "endpoint", "model": "m", "base_urls": ["http://u/v1"]}],
        "score": {"type": "armorm", "model": "j", "revision": "1"} if judged else None,
        "select": {"allow_unjudged": True, **select},
    }
    return parse(values, "r", Path())


def tables_of(answers, domain, n, dropped):
    """The tables of a run with these answers: every model is a source that is asked for n samples."""
    verifier = KINDS[domain].verifier
    prompts = sorted({answer.prompt for answer in answers})
    models = sorted({answer.model for answer in answers})
    return {
        "prompts": [
            {"prompt_id": p, "messages_digest": p, "reference_digest": GOLD, "dropped": "why" if p in dropped else None}
            for p in prompts
        ],
        "sources": [{"model": m, "sampling": SAMPLING, "type": "endpoint", "n": n} for m in models],
        "responses": [
            {"response_id": a.id, "prompt_id": a.prompt, "model": a.model, "sampling": SAMPLING,
             "sample_index": a.index, "text": a.content, "finish_reason": a.finish, "messages_digest": a.prompt,
             "n_chars": compared(a.content)[0], "text_hash": compared(a.content)[1]}
            for a in answers
        ],
        "verdicts": [
            {"response_id": a.id, "verifier": verifier, "reference_digest": GOLD, "outcome": a.outcome}
            for a in answers if verifier and a.outcome is not None
        ],
        "scores": [{"response_id": a.id, "judge": JUDGE, "score": a.score} for a in answers if a.score is not None],
    }  # fmt: skip


@dataclass(frozen=True)
class Selected:
    """What came out, with answers for their ids."""

    pairs: list  # (chosen, rejected, margin)
    demos: list  # answers
    lost: dict  # (prompt, model): why it is no pair
    rows: pl.DataFrame


class InMemory(Run):
    """A run without a folder: the tables are frames and the views are the store's. Quick, for many small examples."""

    def __init__(self):
        super().__init__(Path("nowhere"), lock=None)
        self.query("SHOW TABLES")  # has every view made
        connection = self._connect().connection
        for view in reversed(VIEWS):
            connection.execute(f'DROP VIEW "{view}"')
        for table, made in TABLES.items():
            empty = made.frame()
            connection.register("empty", empty)
            connection.execute(f'CREATE TABLE "{table}" AS SELECT * FROM empty')
        for view in (view for view in VIEWS if view not in TABLES):
            connection.execute(f"CREATE VIEW {view} AS " + load_sql(f"views/{view}"))

    def fill(self, tables):
        self.drop_made()
        for table, rows in tables.items():
            frame = TABLES[table].frame(rows)
            self._connect().connection.register("frame", frame)
            self._connect().connection.execute(f'DELETE FROM "{table}"; INSERT INTO "{table}" SELECT * FROM frame')


CANDIDATES = """
SELECT p.prompt_id, m.model, c.lost
FROM pair_candidates AS c
INNER JOIN numbered_prompts AS p ON c.prompt_no = p.prompt_no
LEFT JOIN (SELECT DISTINCT model_no, model FROM numbered_sources) AS m
    ON coalesce(c.chosen.model_no, nullif(c.side, 0)) = m.model_no
"""


@cache
def in_memory():
    return InMemory()


def selected_in(run, recipe):
    rule = rule_of(recipe, domain_of(recipe))
    make_candidates(run, rule)
    return select_pairs(run, rule), select_demos(run, rule), run.query(CANDIDATES)


def select(answers, domain="checked", judged=True, n=99, dropped=(), extra=None, parts=0, order=None, **rule):
    """Run the selection over these answers, in memory or in a run folder with so many parts a table.

    `extra` are more rows, `order` shuffles all of them.
    """
    answers = numbered(answers)
    tables = tables_of(answers, domain, n, dropped)
    by_id = {answer.id: answer for answer in answers}
    recipe = recipe_of(domain, judged, **rule)
    for table, rows in tables.items():
        rows += (extra or {}).get(table, [])
        if order is not None:
            random.Random(order).shuffle(rows)
    if parts:
        with tempfile.TemporaryDirectory() as folder, Run.create(Path(folder)) as run:
            for table, rows in tables.items():
                size = max(1, -(-len(rows) // parts))
                for at in range(0, len(rows), size):
                    run.append(table, rows[at : at + size])
            pairs, demos, candidates = selected_in(run, recipe)
    else:
        in_memory().fill(tables)
        pairs, demos, candidates = selected_in(in_memory(), recipe)
    assert dict(pairs.schema) == dict(TABLES["pairs"].schema)
    assert dict(demos.schema) == dict(TABLES["demos"].schema)
    return Selected(
        [(by_id[row["chosen_id"]], by_id[row["rejected_id"]], row["margin"]) for row in pairs.to_dicts()],
        [by_id[row["response_id"]] for row in demos.to_dicts()],
        {(row["prompt_id"], row["model"]): row["lost"] for row in candidates.to_dicts()},
        pairs,
    )


def select_each(tables, domain="checked", **rule):
    """What select gives of each of several tables, of all in one run: a number before its prompt tells whose an answer is.

    For rules that look at one prompt at a time.
    """
    found = select(
        [replace(a, prompt=f"{at}/{a.prompt}") for at, answers in enumerate(tables) for a in answers], domain, **rule
    )

    def is_of(at, prompt):
        return prompt.startswith(f"{at}/")

    def bare(answer):
        return replace(answer, prompt=answer.prompt.partition("/")[2])

    return [
        Selected(
            [(bare(c), bare(r), margin) for c, r, margin in found.pairs if is_of(at, c.prompt)],
            [bare(demo) for demo in found.demos if is_of(at, demo.prompt)],
            {(prompt.partition("/")[2], model): lost for (prompt, model), lost in found.lost.items() if is_of(at, prompt)},
            found.rows.filter(pl.col("prompt_id").str.starts_with(f"{at}/")),
        )
        for at in range(len(tables))
    ]


def scores(selected):
    """The pairs as prompt: (model of chosen, its score, model of rejected, its score)."""
    return {c.prompt: (c.model, c.score, r.model, r.score) for c, r, _ in selected.pairs}


def demo_scores(selected):
    return {demo.prompt: (demo.model, demo.score) for demo in selected.demos}


# ---------------------------------------------------------------------------------------------------- FuseChat's rule

MATH = [
    # p: both sources have right and wrong answers; b's margin is larger
    right("p", "a", 0.10), right("p", "a", 0.12), wrong("p", "a", 0.09), wrong("p", "a", 0.08),
    right("p", "b", 0.15), wrong("p", "b", 0.08), wrong("p", "b", 0.20),
    # q: a right answer of one source and a wrong one of the other
    right("q", "a", 0.30), right("q", "a", 0.31), wrong("q", "b", 0.25),
    # r: nothing is right
    wrong("r", "a", 0.10), wrong("r", "b", 0.20),
]  # fmt: skip


def test_math_best_right_against_worst_wrong_of_one_source():
    found = select(MATH)
    assert scores(found) == {"p": ("b", 0.15, "b", 0.08)}
    assert [margin for _, _, margin in found.pairs] == [0.15 - 0.08]
    assert demo_scores(found) == {"q": ("a", 0.31)}
    assert found.lost == {
        ("p", "a"): "another source's pair",
        ("p", "b"): None,
        ("q", "a"): "no wrong answer",
        ("q", "b"): "no right answer",
        ("r", "a"): "no right answer",
        ("r", "b"): "no right answer",
    }


def test_math_any_source():
    found = select(MATH, pairing="any_source")
    assert scores(found) == {"p": ("b", 0.15, "a", 0.08), "q": ("a", 0.31, "b", 0.25)}
    assert found.rows["model"].to_list() == ["b", "a"]
    assert found.rows["rejected_model"].to_list() == ["a", "b"]
    assert demo_scores(found) == {}


def test_math_one_pair_a_source():
    found = select(MATH, per_prompt="one_per_source")
    assert [(c.model, c.score, r.score) for c, r, _ in found.pairs] == [("a", 0.12, 0.08), ("b", 0.15, 0.08)]


def test_the_source_whose_pair_is_in_the_window_is_taken_before_a_larger_margin():
    answers = [right("p", "a", 0.5), wrong("p", "a", 0.45), right("p", "b", 0.9), wrong("p", "b", 0.1)]
    found = select(answers, margin=[0.01, 0.1])
    assert scores(found) == {"p": ("a", 0.5, "a", 0.45)}
    assert found.lost[("p", "b")] == "margin above the window"


@pytest.mark.parametrize(
    ("margin", "lost"),
    [
        ([0.25, 0.5], None),
        ([0.25, 0.25], None),
        ([0.0, 0.25], None),
        ([0.2500001, 1.0], "margin below the window"),
        ([0.0, 0.2499999], "margin above the window"),
        ([-1.0, 0.0], "margin above the window"),
        ([0.1, inf], None),
        (None, None),
    ],
)
def test_both_ends_of_the_window_are_inside(margin, lost):
    """0.75 - 0.5 is 0.25 exactly."""
    found = select([right("p", "a", 0.75), wrong("p", "a", 0.5)], margin=margin)
    assert found.lost == {("p", "a"): lost}


def test_a_right_answer_may_score_less_than_a_wrong_one():
    """With verdicts and no window the verdict decides (FuseChat's window is what asks for a margin above 0)."""
    answers = [right("p", "a", 0.1), wrong("p", "a", 0.3)]
    assert scores(select(answers)) == {"p": ("a", 0.1, "a", 0.3)}
    assert scores(select(answers, margin=[0.01, 0.1])) == {}


# ---------------------------------------------------------------------------------------------- right, wrong, neither


@pytest.mark.parametrize(("domain", "are_wrong"), [("checked", {"failed"}), ("executed", {"failed", "timeout"})])
def test_cannot_judge_is_not_wrong(domain, are_wrong):
    """passed is right, failed is wrong, a timeout is wrong only where the program is what was slow; all else is neither."""
    outcomes = [*OUTCOMES, None]
    unclear = [Answer("p", "a", 0.5, outcome) for outcome in outcomes]
    chosen = select_each([[one, wrong("p", "a", 0.1)] for one in unclear], domain)
    rejected = select_each([[right("p", "a", 0.9), one] for one in unclear], domain)
    assert {outcome for outcome, found in zip(outcomes, chosen, strict=True) if found.pairs} == {"passed"}
    assert {outcome for outcome, found in zip(outcomes, rejected, strict=True) if found.pairs} == are_wrong


def test_math_counts_only_failed_as_wrong():
    assert DOMAINS["math"](VerifyMath()).verifier.wrong == {"failed"}


@pytest.mark.parametrize("domain", KINDS)
def test_an_answer_without_a_finite_score_is_neither(domain):
    tables = [
        [
            right("p", "a", score), right("p", "a", 0.6), right("p", "a", 0.5),
            wrong("p", "a", score), wrong("p", "a", 0.3), wrong("p", "a", 0.4),
            right("q", "a", score), wrong("q", "a", 0.3),
            right("r", "a", 0.5), wrong("r", "a", score),
        ]
        for score in (None, nan, inf, -inf)
    ]  # fmt: skip
    expected = {"r": ("a", 0.5)} if domain != "unchecked" else {"q": ("a", 0.3), "r": ("a", 0.5)}
    for found in select_each(tables, domain):
        assert scores(found) == {"p": ("a", 0.6, "a", 0.3)}
        assert demo_scores(found) == expected


@pytest.mark.parametrize("domain", KINDS)
def test_a_truncated_answer_is_never_chosen(domain):
    answers = [
        right("p", "a", 0.9, finish="length"), right("p", "a", 0.6), wrong("p", "a", 0.5),
        right("q", "a", 0.9, finish="length"), wrong("q", "a", 0.5, finish="length"),
    ]  # fmt: skip
    found = select(answers, domain)
    assert scores(found) == {"p": ("a", 0.6, "a", 0.5)}
    assert demo_scores(found) == {}


@pytest.mark.parametrize("domain", KINDS)
def test_what_is_not_complete_is_neither_chosen_nor_rejected(domain):
    endings = ["length", "max_tokens", "content_filter", "tool_calls", "abort", "some new word"]
    cut = [[right("p", "a", 0.95, finish=ending), wrong("p", "a", 0.1, finish=ending)] for ending in endings]
    beside = select_each([[right("p", "a", 0.9), wrong("p", "a", 0.3), *two] for two in cut], domain)
    assert list(map(scores, beside)) == [{"p": ("a", 0.9, "a", 0.3)}] * len(endings)
    alone = select_each([[right("p", "a", 0.9), two[1]] for two in cut], domain)
    assert list(map(scores, alone)) == [{}] * len(endings)


def test_a_source_may_say_that_a_reason_means_complete():
    answers = [right("p", "a", 0.9, finish="done"), wrong("p", "a", 0.1, finish="done")]
    assert scores(select(answers)) == {}
    tables = [{"model": "a", "sampling": SAMPLING, "type": "endpoint", "n": 9, "complete": ["done"]}]
    found = select([*answers, right("q", "a", 0.5)], extra={"sources": tables}, n=0)
    assert scores(found) == {"p": ("a", 0.9, "a", 0.1)}


@pytest.mark.parametrize("domain", KINDS)
def test_a_thought_without_an_answer_is_in_nothing(domain):
    thoughts = [replace(right("p", "a", 0.95), text=NOTHING), replace(wrong("p", "a", 0.05), text=NOTHING)]
    assert scores(select([right("p", "a", 0.9), wrong("p", "a", 0.1), *thoughts], domain)) == {"p": ("a", 0.9, "a", 0.1)}
    assert demo_scores(select(thoughts, domain)) == {}


def test_a_missing_finish_reason_is_not_truncated():
    """Responses that came with a dataset have none."""
    found = select([right("p", "a", 0.9, finish=None), wrong("p", "a", 0.1, finish=None)])
    assert len(found.pairs) == 1


# ------------------------------------------------------------------------------------------ without verdicts or judge


def test_without_verdicts_best_against_worst():
    """FuseChat's rule for instruction following: the highest against the lowest score of one source."""
    answers = [Answer("p", "a", score) for score in (0.3, 0.1, 0.2)] + [Answer("p", "b", score) for score in (0.5, 0.49)]
    assert scores(select(answers, "unchecked")) == {"p": ("a", 0.3, "a", 0.1)}


def test_without_verdicts_a_tie_is_no_pair():
    found = select([Answer("p", "a", 0.5), Answer("p", "a", 0.5), Answer("p", "b", 0.5)], "unchecked")
    assert found.pairs == []
    assert found.lost == {("p", "a"): "tied scores", ("p", "b"): "only one answer"}
    assert demo_scores(found)["p"][1] == 0.5


def test_without_verdicts_and_judge_nothing_can_be_said():
    found = select([Answer("p", "a"), Answer("p", "a")], "unchecked", judged=False)
    assert found.pairs == []
    assert [demo.id for demo in found.demos] == [min(a.id for a in numbered([Answer("p", "a"), Answer("p", "a")]))]
    assert select([Answer("p", "a")] * 2, "unchecked", judged=False, allow_unjudged=False).demos == []


def test_without_a_mark_answers_are_taken_by_hash():
    """Scores of a judge that the recipe no longer has are not read."""
    answers = numbered([right("p", "a", 0.1 * at) for at in range(4)] + [wrong("p", "a", 0.1 * at) for at in range(4)])
    found = select(answers, judged=False)
    ((chosen, rejected, margin),) = found.pairs
    assert chosen.id == min(a.id for a in answers if a.outcome == "passed")
    assert rejected.id == min(a.id for a in answers if a.outcome == "failed")
    assert margin is None


def assert_plain(answers, judged=True, **rule):
    """The selection of these answers is what the rule in plain Python gives."""
    found = select(answers, judged=judged, **rule)
    pairs, demos = plain_selection(numbered(answers), "checked", judged, rule)
    assert {(chosen.id, rejected.id) for chosen, rejected, _ in found.pairs} == pairs
    assert {demo.id for demo in found.demos} == demos
    assert pairs or demos


@pytest.mark.parametrize("judged", [True, False])
def test_of_sources_with_equal_margins_one_is_taken_by_hash(judged):
    assert_plain([make(f"p{at}", model, 0.5) for at in range(9) for model in "abc" for make in (right, wrong)], judged)


# ----------------------------------------------------------------------------------------------- ties and equal texts


def test_ties_are_broken_by_id():
    answers = numbered([right("p", "a", 0.5)] * 4 + [wrong("p", "a", 0.1)] * 4)
    ((chosen, rejected, _),) = select(answers).pairs
    assert chosen.id == min(a.id for a in answers if a.outcome == "passed")
    assert rejected.id == min(a.id for a in answers if a.outcome == "failed")


def test_a_text_is_not_paired_with_itself():
    """A verifier that says once right and once wrong of one text is no reason to train on it."""
    found = select([right("p", "a", 0.5, text="x"), wrong("p", "b", 0.1, text="x")], pairing="any_source")
    assert found.pairs == []
    assert found.lost == {("p", "a"): "same text"}


def test_of_identical_texts_of_one_model_one_is_used():
    answers = numbered([right("p", "a", 0.5, text="x")] * 3 + [wrong("p", "a", 0.1, text="y")] * 3)
    ((chosen, rejected, _),) = select(answers).pairs
    assert chosen.id == min(a.id for a in answers if a.outcome == "passed")
    assert rejected.id == min(a.id for a in answers if a.outcome == "failed")


@pytest.mark.parametrize(("other", "is_copy"), [
    ("x\n", True), ("x<|im_end|>", True), (" x</s>\r\n", True),
    ("x<|im_end", False), ("X", False), ("x.", False),
])  # fmt: skip
def test_texts_are_copies_where_what_is_compared_is_the_same(other, is_copy):
    answers = numbered([right("p", "a", 0.5, text="x"), right("p", "a", 0.5, text=other), wrong("p", "a", 0.1)])
    found = select(answers)
    first = min((answer for answer in answers if answer.outcome == "passed"), key=lambda answer: answer.id)
    assert [chosen.id for chosen, *_ in found.pairs] == [first.id]
    (count,) = in_memory().query("SELECT count(*) FILTER (repeated) AS n FROM answers")["n"]
    assert count == is_copy


def test_a_text_that_was_also_cut_off_may_be_chosen():
    assert (
        len(
            select(
                [right("p", "a", 0.5, text="x", finish="length"), right("p", "a", 0.5, text="x"), wrong("p", "a", 0.1)]
            ).pairs
        )
        == 1
    )


@pytest.mark.parametrize(
    ("score", "outcome"), [(None, "passed"), (nan, "passed"), (0.5, None), (0.5, "error"), (0.5, "timeout")], ids=str
)
def test_of_identical_texts_one_that_can_be_used_is_used(score, outcome):
    """A copy whose judge or checker failed does not take the good one along, whichever has the smaller id."""
    for bad_first in (True, False):
        copies = [Answer("p", "a", score, outcome, text="x"), right("p", "a", 0.5, text="x")]
        answers = [*(copies if bad_first else copies[::-1]), wrong("p", "a", 0.1)]
        assert scores(select(answers)) == {"p": ("a", 0.5, "a", 0.1)}


# ---------------------------------------------------------------------------------------------------- what is current


def test_verdicts_and_scores_of_another_time_are_not_read():
    answer, other = numbered([Answer("p", "a"), wrong("p", "a", 0.1)])
    stale = {
        "verdicts": [
            {"response_id": answer.id, "verifier": "checked@1", "reference_digest": GOLD, "outcome": "passed"},
            {"response_id": answer.id, "verifier": "checked@2", "reference_digest": "an older gold", "outcome": "passed"},
        ],
        "scores": [{"response_id": answer.id, "judge": "armorm@0", "score": 0.9}],
    }
    now = {
        "verdicts": [{"response_id": answer.id, "verifier": "checked@2", "reference_digest": GOLD, "outcome": "passed"}],
        "scores": [{"response_id": answer.id, "judge": JUDGE, "score": 0.9}],
    }
    both = {table: stale[table] + now[table] for table in now}
    assert len(select([answer, other], extra=stale).pairs) == 0
    assert len(select([answer, other], extra={"verdicts": stale["verdicts"], "scores": now["scores"]}).pairs) == 0
    assert len(select([answer, other], extra={"verdicts": now["verdicts"], "scores": stale["scores"]}).pairs) == 0
    assert len(select([answer, other], extra=both).pairs) == 1


def test_responses_that_the_recipe_does_not_want_are_not_read():
    good = numbered([right("p", "a", 0.5), wrong("p", "a", 0.4), right("p", "a", 0.9), wrong("p", "a", 0.0)])
    assert scores(select(good)) == {"p": ("a", 0.9, "a", 0.0)}
    assert scores(select(good, n=2)) == {"p": ("a", 0.5, "a", 0.4)}
    old = make_response_id("p", "a", None, "{}", 0)
    extra = {
        "responses": [{"response_id": old, "prompt_id": "p", "model": "a", "sampling": "{}", "sample_index": 0, "text": "old"}],
        "verdicts": [{"response_id": old, "verifier": "checked@2", "reference_digest": GOLD, "outcome": "passed"}],
        "scores": [{"response_id": old, "judge": JUDGE, "score": 1.0}],
    }
    assert scores(select(good, extra=extra)) == {"p": ("a", 0.9, "a", 0.0)}


def test_dropped_prompts_are_in_neither():
    found = select(MATH, dropped={"p", "q"})
    assert (found.pairs, found.demos) == ([], [])


def test_rows_that_stand_there_twice_change_nothing():
    answers = numbered(MATH)
    twice = tables_of(answers, "checked", 99, ()) | {"prompts": [], "sources": []}
    once, again = select(answers), select(answers, extra=twice)
    assert (again.pairs, again.demos, again.lost) == (once.pairs, once.demos, once.lost)


# ------------------------------------------------------------------------------------------------------------ lengths


def sized(prompt, chosen, rejected, margin=0.5):
    """A pair of answers with so many characters; the text says which they are."""
    return [
        right(prompt, "a", margin, text=("C" + prompt).ljust(chosen, "c")[:chosen]),
        wrong(prompt, "a", 0.0, text=("R" + prompt).ljust(rejected, "r")[:rejected]),
    ]


RATIOS = {  # ratio: {(characters of the chosen, of the rejected): kept}
    1: {(10, 10): True, (11, 10): False},
    1.1: {(110, 100): True, (33, 30): True},
    1.15: {(115, 100): True, (116, 100): False, (100, 115): True},  # 1.15 * 100 is 114.99999999999999
    2: {(20, 10): True, (10, 20): True, (21, 10): False, (10, 21): False},
    3.3: {(330, 100): True},
}


@pytest.mark.parametrize("ratio", RATIOS)
def test_length_ratio_at_the_boundary(ratio):
    found = select_each([sized("p", *lengths) for lengths in RATIOS[ratio]], length_ratio_max=ratio)
    assert [bool(one.pairs) for one in found] == list(RATIOS[ratio].values())


def test_lengths_are_those_of_what_is_compared():
    answers = [right("p", "a", 0.5, text=" \r\n" + "x\r\n" * 5 + "</s>"), wrong("p", "a", 0.1, text="x" * 9)]
    assert select(answers).rows["log_length_ratio"].to_list() == [0.0]


def test_lengths_are_characters_not_bytes():
    answers = [right("p", "a", 0.5, text="数" * 10), wrong("p", "a", 0.1, text="x" * 20)]
    found = select(answers, length_ratio_max=2)
    assert found.rows["log_length_ratio"].to_list() == [pytest.approx(-log(2))]


def test_an_empty_text_counts_as_one_character():
    answers = [right("p", "a", 0.5, text="x"), wrong("p", "a", 0.1, text="")]
    found = select(answers, length_ratio_max=2)
    assert found.rows["log_length_ratio"].to_list() == [0.0]


def prompts_of(selected):
    return {chosen.prompt for chosen, _, _ in selected.pairs}


def test_a_one_sided_bin_keeps_none_and_equal_lengths_stay():
    answers = sized("p", 20, 10) + sized("q", 22, 10) + sized("r", 10, 10)
    assert prompts_of(select(answers, length_bins=100)) == {"r"}


def test_a_bin_keeps_as_many_of_either_side():
    answers = sized("p", 20, 10) + sized("q", 21, 10) + sized("r", 10, 20) + sized("s", 10, 10)
    found = select(answers, length_bins=100)
    kept = prompts_of(found)
    assert {"r", "s"} < kept
    assert len(kept & {"p", "q"}) == 1
    assert sorted(reason for reason in found.lost.values() if reason) == ["length bins"]


def test_bins_are_symmetric():
    """ln 2 / 0.5 rounds to 1 and ln 8 / 0.5 to 4: those of one bin balance each other, those of two do not."""
    assert prompts_of(select(sized("p", 20, 10) + sized("q", 10, 20), length_bins=0.5)) == {"p", "q"}
    assert prompts_of(select(sized("p", 80, 10) + sized("q", 10, 20), length_bins=0.5)) == set()


def test_bins_balance_what_dpo_sees():
    """A pair that serves SFT, or that another rule drops, balances nothing."""
    answers = sized("p", 20, 10) + sized("q", 10, 20, margin=0.9)
    assert prompts_of(select(answers, length_bins=1, margin=[0.1, 0.6])) == set()
    found = select(answers, length_bins=1, split="share", sft_share=0.5)
    assert (len(found.pairs), len(found.demos)) == (0, 1)


def test_pairs_that_are_lost_take_no_place_in_a_bin():
    """Twenty pairs with longer chosen and twenty with longer rejected, every second of them above the window."""
    answers = [a for at in range(20) for a in sized(f"p{at:02}", 20, 10, 0.9 if at % 2 else 0.5)]
    answers += [a for at in range(20) for a in sized(f"q{at:02}", 10, 20, 0.9 if at % 4 else 0.5)]
    assert_plain(answers, margin=[0.1, 0.6], length_bins=1)
    assert_plain(answers, margin=[0.1, 0.6], length_bins=1, split="share", sft_share=0.3)


def test_a_prompt_whose_pair_is_dropped_serves_sft():
    """pairs_first: every prompt without a pair and with a right answer is a demo."""
    answers = sized("p", 20, 10) + sized("q", 30, 10)
    assert {demo.prompt for demo in select(answers, length_bins=1).demos} == {"p", "q"}
    assert {demo.prompt for demo in select(answers, margin=[0.6, 0.9]).demos} == {"p", "q"}


# ------------------------------------------------------------------------------------------------------------- shares


class Plain:
    """select_pairs.sql over a table `answers` of n prompts that all have a valid pair; quick enough for many n and shares."""

    def __init__(self):
        self.connection = duckdb.connect()
        for macro in ("id_text", "id_number", "length_ratio", "why_no_pair"):
            self.connection.execute(load_sql(f"views/{macro}"))
        self.parameters = {
            "margin_low": None, "margin_high": None, "length_ratio_max": None, "one_per_source": False, "length_bins": None,
            "chars_max": None, "tokens_max": None, "triples": False,
        }  # fmt: skip
        self.connection.execute("CREATE TABLE source_answers (prompt_no UINTEGER, answer STRUCT(text_hash UBIGINT))")
        self.connection.execute("CREATE TABLE placed (prompt_no INTEGER)")

        self.made = None

    def to_sft(self, n, share, backwards=False):
        if self.made != (n, backwards):
            self.make(n, backwards)
            self.made = n, backwards
        candidates = f"SELECT prompt_no, lost FROM ({load_sql('select/select_pairs')})"
        rows = self.connection.sql(candidates, params=self.parameters | {"sft_share": share}).fetchall()
        assert len(rows) == n
        return {prompt_no for prompt_no, lost in rows if lost == "serves SFT"}

    def make(self, n, backwards):
        order = "DESC" if backwards else "ASC"
        self.connection.execute(
            "CREATE OR REPLACE TABLE valued AS SELECT i AS prompt_no, 1 AS model_no, 2 * i + good::INT AS row, "
            "id_number(left(md5('p' || i || good), 24)) AS id, "
            "good::INT::DOUBLE AS score, score AS value, 10 AS n_chars, 5 AS n_tokens, hash(i, good) AS text_hash, "
            "good AS may_be_chosen, "
            f"NOT good AS may_be_rejected FROM range($n) AS t(i), (VALUES (true), (false)) AS s(good) ORDER BY i {order}",
            {"n": n},
        )
        self.connection.execute(
            "CREATE OR REPLACE TABLE numbered_prompts AS SELECT i AS prompt_no, 'p' || i AS prompt_id FROM range($n) AS t(i)",
            {"n": n},
        )
        match = f"CREATE OR REPLACE TABLE settled AS {load_sql('select/match_answers')}"
        self.connection.execute(match, {"by_source": True, "verified": True, "ranked": False})


@pytest.fixture(scope="module")
def plain():
    return Plain()


@pytest.mark.parametrize("cents", range(0, 101))
def test_sft_gets_exactly_the_floor_of_its_share_of_a_hundred(plain, cents):
    """0.29 * 100 is 28.999999999999996 in floating point."""
    assert len(plain.to_sft(100, cents / 100)) == cents


@pytest.mark.parametrize(("n", "sft"), [(51098, 20439), (20374, 8149), (9435, 3774)])
def test_the_counts_of_fusechat(plain, n, sft):
    """SLIT-AI/FuseChat-3.0 README: UltraFeedback, Magpie-Pro-DPO and HelpSteer2, split 4:6."""
    assert len(plain.to_sft(n, 0.4)) == sft


def test_sft_gets_exactly_the_floor_of_its_share(plain):
    @examples(20)
    @given(st.integers(0, 300), st.integers(0, 1000))
    def law(n, thousandths):
        share = Decimal(thousandths) / 1000
        assert len(plain.to_sft(n, float(share))) == floor(share * n)

    law()


@pytest.mark.parametrize("share", [0.0, 0.29, 0.5, 1.0])
def test_the_split_does_not_see_the_order_of_rows(plain, share):
    assert plain.to_sft(100, share) == plain.to_sft(100, share, backwards=True)


def test_a_larger_share_takes_more_of_the_same(plain):
    assert plain.to_sft(100, 0.2) < plain.to_sft(100, 0.5) < plain.to_sft(100, 0.9)


def test_no_share_is_no_split(plain):
    assert plain.to_sft(10, None) == set()


def test_share_splits_only_prompts_with_a_valid_pair():
    answers = [answer for at in range(10) for answer in (right(f"p{at}", "a", 0.5), wrong(f"p{at}", "a", 0.1))]
    answers += [right("only right", "a", 0.5), wrong("only wrong", "a", 0.5)]
    found = select(answers, split="share", sft_share=0.4)
    assert (len(found.demos), len(found.pairs)) == (4, 6)
    assert "only right" not in {demo.prompt for demo in found.demos}


def test_a_prompt_that_serves_sft_gives_the_best_answer_of_all_sources():
    answers = [right("p", "a", 0.5), wrong("p", "a", 0.1), right("p", "b", 0.9)]
    assert demo_scores(select(answers, split="share", sft_share=1)) == {"p": ("b", 0.9)}


def test_with_one_pair_a_source_a_prompt_still_goes_one_way():
    answers = [make(f"p{at}", model, 0.5) for at in range(6) for model in "ab" for make in (right, wrong)]
    found = select(answers, split="share", sft_share=0.5, per_prompt="one_per_source")
    assert (len(found.demos), len(found.pairs)) == (3, 6)


# ------------------------------------------------------------------------------------------- phases by hash, many demos


def many(n=60):
    """Prompts with a valid pair, with right answers alone, and with wrong ones alone."""
    kinds = ((right, wrong), (right,), (wrong,))
    return [make(f"p{at:02}", model, 0.5) for at in range(n) for model in "ab" for make in kinds[at % 3]]


def phases(selected):
    """(prompts of SFT, prompts of DPO)."""
    return {demo.prompt for demo in selected.demos}, prompts_of(selected)


def test_by_hash_every_prompt_has_its_place_before_any_rule():
    answers = many()
    found = select(answers, split="hash", sft_share=0.4)
    low = {answer.prompt for answer in answers if phase_place(answer.prompt) < 0.4}
    with_right = {answer.prompt for answer in answers if answer.outcome == "passed"}
    both = {answer.prompt for answer in answers if answer.outcome == "failed"} & with_right
    assert 0 < len(low) < 60
    assert phases(found) == (low & with_right, both - low)
    assert {prompt for (prompt, _), lost in found.lost.items() if lost == "serves SFT"} == both & low


@pytest.mark.parametrize("rule", [
    {"margin": [0.9, 1.0]}, {"length_ratio_max": 1.0}, {"pairing": "any_source"}, {"per_prompt": "one_per_source"},
    {"length_bins": 0.1}, {"demos_per_prompt": "all"},
], ids=str)  # fmt: skip
def test_by_hash_no_rule_moves_a_prompt_to_the_other_phase(rule):
    sft, dpo = phases(select(many(), split="hash"))
    other_sft, other_dpo = phases(select(many(), split="hash", **rule))
    assert (other_sft, other_dpo - dpo) == (sft, set())


def test_by_hash_other_prompts_and_answers_move_nothing():
    """Half of the prompts dropped, and answers of one source more: of the others each serves what it served."""
    sft, dpo = phases(select(many(), split="hash"))
    dropped = {f"p{at:02}" for at in range(0, 60, 2)}
    more = [make(f"p{at:02}", "c", 0.5) for at in range(60) for make in (right, wrong)]
    other_sft, other_dpo = phases(select([*many(), *more], dropped=dropped, split="hash"))
    assert other_sft >= sft - dropped and other_dpo >= dpo - dropped
    assert not other_sft & other_dpo and not (other_sft | other_dpo) & dropped
    assert not other_sft & dpo and not other_dpo & sft


DEMOS = [
    right("p", "a", 0.1, text="one"), right("p", "a", 0.4, text="two"), right("p", "b", 0.3, text="one"),
    right("p", "b", 0.2, text="three"), right("p", "b", 0.3, text="one"), wrong("p", "b", 0.9, text="four"),
    right("q", "a", 0.5, text="one"),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "taken"), [
    ("one", [("a", "two")]), (1, [("a", "two")]), (2, [("a", "two"), ("b", "one")]),
    (3, [("a", "two"), ("b", "one"), ("b", "three")]), ("all", [("a", "two"), ("b", "one"), ("b", "three")]),
])  # fmt: skip
def test_demos_of_a_prompt_are_its_best_right_texts_each_once(wanted, taken):
    """A text that two sources gave is the one's whose score is higher."""
    found = select(DEMOS, split="hash", sft_share=1.0, demos_per_prompt=wanted)
    assert [(demo.model, demo.text) for demo in found.demos] == [*taken, ("a", "one")]


LUCK = [
    right("p", "a", 0.9, text="one"), wrong("p", "a", 0.1, text="two"), wrong("p", "a", 0.2, text="three"),
    right("p", "b", 0.4, text="four"), right("p", "b", 0.3, text="four"), wrong("p", "b", 0.1, text="five"),
]  # fmt: skip


@pytest.mark.parametrize(("least", "demo", "pairs"), [
    (None, "one", {("one", "two"), ("four", "five")}), (0.3, "one", {("one", "two"), ("four", "five")}),
    (0.5, "four", {("four", "five")}), (0.7, None, set()),
])  # fmt: skip
def test_a_right_answer_among_many_wrong_ones_may_be_luck(least, demo, pairs):
    """a is right once in three, b twice in three (the same text twice, which counts as two answers here)."""
    found = select(LUCK, split="hash", sft_share=1.0, pass_rate_min=least)
    assert [one.text for one in found.demos] == ([demo] if demo else [])
    found = select(LUCK, split="hash", sft_share=0.0, pass_rate_min=least, per_prompt="one_per_source")
    assert {(chosen.text, rejected.text) for chosen, rejected, _ in found.pairs} == pairs


def test_luck_is_of_a_domain_with_a_verifier():
    with pytest.raises(BadInput, match=r"select\.pass_rate_min must be null: no verifier judges answers of this domain"):
        select([right("p", "a", 0.9)], "unchecked", pass_rate_min=0.5)


# ------------------------------------------------------------------------------------- the whole rule in plain Python


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def by_score(answer, judged, sign):
    return (sign * answer.score, answer.id) if judged else (0.0, answer.id)


def usable(answers, domain, judged):
    """(answers that may be chosen, answers that may be rejected), of identical texts one."""
    kind = KINDS[domain]
    best, worst = [], []
    for _, copies in groupby(
        sorted(answers, key=lambda a: (a.prompt, a.model, a.content)), lambda a: (a.prompt, a.model, a.content)
    ):
        answer = min(copies, key=lambda a: (a.finish == "length", a.id))
        if judged and (answer.score is None or not isfinite(answer.score)):
            continue
        if answer.finish != "length" and (kind.verifier is None or answer.outcome == "passed"):
            best.append(answer)
        if answer.finish != "length" and (kind.verifier is None or answer.outcome in kind.wrong):
            worst.append(answer)
    return best, worst


def valid_pair(chosen, rejected, domain, judged, rule):
    margin = chosen.score - rejected.score if judged else None
    low, high = rule.get("margin") or (-inf, inf)
    longer, shorter = sorted((max(len(chosen.content), 1), max(len(rejected.content), 1)), reverse=True)
    limit = rule.get("length_ratio_max")
    return (
        chosen.content != rejected.content
        and (KINDS[domain].verifier is not None or (margin or 0) > 0)
        and (margin is None or low <= margin <= high)
        and (limit is None or Fraction(longer, shorter) <= Fraction(str(limit)))
    )


def plain_pairs(best, worst, domain, judged, rule):
    """{(prompt, side): (chosen, rejected)} before any split."""
    any_source = rule.get("pairing") == "any_source"
    pairs = {}
    for prompt, side in {(a.prompt, "" if any_source else a.model) for a in best}:
        mine = [[a for a in answers if a.prompt == prompt and side in ("", a.model)] for answers in (best, worst)]
        if not mine[1]:
            continue
        chosen = min(mine[0], key=lambda a: by_score(a, judged, -1))
        rejected = min(mine[1], key=lambda a: by_score(a, judged, 1))
        if valid_pair(chosen, rejected, domain, judged, rule):
            pairs[prompt, side] = (chosen, rejected)
    if rule.get("per_prompt", "one") == "one":
        kept = {}
        for key, pair in pairs.items():
            rank = (-(pair[0].score - pair[1].score) if judged else 0.0, pair[0].id)
            kept[key[0]] = min(kept.get(key[0], (rank, key)), (rank, key))
        pairs = {key: pairs[key] for _, key in kept.values()}
    return pairs


def balanced(pairs, width):
    bins, kept = {}, []
    for chosen, rejected in pairs:
        ratio = log(max(len(chosen.content), 1) / max(len(rejected.content), 1))
        if ratio == 0:
            kept.append((chosen, rejected))
        else:
            sides = bins.setdefault(floor(abs(ratio) / width + 0.5), ([], []))
            sides[ratio > 0].append((md5("bins/" + chosen.id + rejected.id), chosen, rejected))
    for sides in bins.values():
        n = min(map(len, sides))
        kept += [(chosen, rejected) for side in sides for _, chosen, rejected in sorted(side, key=lambda s: s[0])[:n]]
    return kept


def plain_selection(answers, domain, judged, rule):
    """({(chosen id, rejected id)}, {demo id}) by the rule as DESIGN and the SQL's headers say it."""
    best, worst = usable(answers, domain, judged)
    if (least := rule.get("pass_rate_min")) is not None:
        best = [answer for answer in best if pass_rate(answers, answer, KINDS[domain]) >= least]
    pairs = plain_pairs(best, worst, domain, judged, rule)
    split = rule.get("split", "pairs_first")
    prompts = sorted({prompt for prompt, _ in pairs}, key=lambda p: (md5("split/" + p), p))
    for_sft = set(prompts[: floor(Fraction(str(rule["sft_share"])) * len(prompts))]) if split == "share" else set()
    if split == "hash":
        for_sft = {a.prompt for a in answers if phase_place(a.prompt) < rule["sft_share"]}
    kept = [pair for (prompt, _), pair in pairs.items() if prompt not in for_sft]
    if rule.get("length_bins"):
        kept = balanced(kept, rule["length_bins"])
    if split == "pairs_first":
        for_sft = {a.prompt for a in best} - {chosen.prompt for chosen, _ in kept}
    demos = [demo for prompt in for_sft for demo in plain_demos([a for a in best if a.prompt == prompt], judged, rule)]
    return {(chosen.id, rejected.id) for chosen, rejected in kept}, {demo.id for demo in demos}


def pass_rate(answers, of, kind):
    """The share of right answers among the verified ones of the same prompt and model."""
    mine = [answer.outcome for answer in answers if (answer.prompt, answer.model) == (of.prompt, of.model)]
    judged = [outcome for outcome in mine if outcome == "passed" or outcome in kind.wrong]
    return Fraction(judged.count("passed"), len(judged))


def phase_place(prompt):
    """The lower half of MD5 as DuckDB reads it, of 2^64."""
    return int.from_bytes(hashlib.md5(f"phase/{prompt}".encode()).digest()[8:], "little") / 2**64


def plain_demos(right_answers, judged, rule):
    """The best of one prompt, each text once."""
    by_text = {}
    for answer in sorted(right_answers, key=lambda a: by_score(a, judged, -1)):
        by_text.setdefault(answer.content, answer)
    most = {"one": 1, "all": None}.get(rule.get("demos_per_prompt", "one"), rule.get("demos_per_prompt"))
    return list(by_text.values())[:most]


# ----------------------------------------------------------------------------------------------------------- the laws

NUMBERS = [0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0]
BROKEN = [None, nan, inf, -inf]
VERDICTS = ["passed", "failed", "passed", "failed", "timeout", "error", "unparseable", None]
ENDINGS = ["stop", "stop", "length", None]
numbers = st.sampled_from(NUMBERS)


@st.composite
def some_answers(draw):
    """Up to 24 answers to few prompts by few models: ties, equal texts, holes and broken scores are all common."""
    drawn = draw(
        st.lists(
            st.builds(
                Answer,
                prompt=st.sampled_from("pqrs"),
                model=st.sampled_from("abc"),
                score=numbers | st.sampled_from(BROKEN) | numbers,
                outcome=st.sampled_from(VERDICTS),
                text=st.none() | st.text("xy数", max_size=4) | st.integers(1, 9).map("z".__mul__),
                finish=st.sampled_from(ENDINGS),
            ),
            min_size=1,
            max_size=24,
        )
    )
    return agreeing(drawn)


def agreeing(drawn):
    """Judge and verifier say the same of the same text."""
    first = {}
    alike = []
    for answer in numbered(drawn):
        one = first.setdefault((answer.prompt, answer.model, answer.content), answer)
        alike.append(replace(answer, score=one.score, outcome=one.outcome))
    return alike


def chance_answers(chance):
    """The like of some_answers by chance: quick, for what hypothesis draws it also makes smaller, which takes time."""
    texts = (None, "".join(chance.choices("xy数", k=chance.randint(0, 4))), "z" * chance.randint(1, 9))
    return agreeing(
        Answer(
            chance.choice("pqrs"),
            chance.choice("abc"),
            chance.choice(chance.choice([NUMBERS, BROKEN, NUMBERS])),
            chance.choice(VERDICTS),
            chance.choice([*texts, "".join(chance.choices("xy数", k=chance.randint(0, 4)))]),
            finish=chance.choice(ENDINGS),
        )
        for _ in range(chance.randint(1, 24))
    )


@st.composite
def many_answers(draw, by_chance=5):
    """A table that hypothesis draws and some by chance, as one: what a law costs is binding statements, not rows."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    tables = [draw(some_answers()), *(chance_answers(chance) for _ in range(by_chance))]
    return [replace(answer, prompt=f"{at}{answer.prompt}") for at, answers in enumerate(tables) for answer in answers]


windows = st.none() | st.lists(numbers, min_size=2, max_size=2).map(sorted)
rules = st.fixed_dictionaries(
    {},
    optional={
        "margin": windows,
        "pairing": st.sampled_from(["same_source", "any_source"]),
        "per_prompt": st.sampled_from(["one", "one_per_source"]),
        "length_ratio_max": st.sampled_from([None, 1.0, 1.5, 2.0, 4.0]),
        "length_bins": st.sampled_from([None, 0.3, 1.0, 50.0]),
        "demos_per_prompt": st.sampled_from(["one", 1, 2, 3, "all"]),
        "pass_rate_min": st.sampled_from([None, 0.0, 0.5, 0.75, 1.0]),
    },
)
splits = st.just({}) | st.fixed_dictionaries(
    {"split": st.sampled_from(["share", "hash"]), "sft_share": st.sampled_from([0.0, 0.25, 0.4, 0.5, 1.0])}
)
domain_names = st.sampled_from(list(KINDS))


def meant_for(domain, rule):
    """Without what only verdicts give a meaning."""
    verified = KINDS[domain].verifier is not None
    return {name: value for name, value in rule.items() if verified or name != "pass_rate_min"}


@examples(26)
@given(many_answers(), domain_names, st.booleans(), rules, splits)
def test_the_sql_is_the_rule_in_plain_python(answers, domain, judged, rule, split):
    rule = meant_for(domain, rule) | split
    if not judged:
        rule.pop("margin", None)
    found = select(answers, domain, judged, **rule)
    pairs, demos = plain_selection(answers, domain, judged, rule)
    assert {(chosen.id, rejected.id) for chosen, rejected, _ in found.pairs} == pairs
    assert {demo.id for demo in found.demos} == demos
    assert len(found.pairs) == len(pairs)
    assert len(found.demos) == len(demos)
    check_laws(found, domain, judged, rule)


def check_laws(found, domain, judged, rule):
    """What holds of every selection, whatever the plain rule says."""
    kind = KINDS[domain]
    low, high = rule.get("margin") or (-inf, inf)
    for chosen, rejected, margin in found.pairs:
        assert chosen.prompt == rejected.prompt
        if judged:
            assert low <= margin <= high
            assert margin == chosen.score - rejected.score
        assert chosen.finish != "length" != rejected.finish
        assert chosen.content != rejected.content
        if rule.get("pairing") != "any_source":
            assert chosen.model == rejected.model
        if kind.verifier is None:
            assert margin is None or margin > 0
        else:
            assert (chosen.outcome, rejected.outcome in kind.wrong) == ("passed", True)
    for demo in found.demos:
        assert demo.finish != "length"
        assert kind.verifier is None or demo.outcome == "passed"
    in_pairs = [chosen.prompt for chosen, _, _ in found.pairs]
    assert not set(in_pairs) & {demo.prompt for demo in found.demos}
    assert len({(demo.prompt, demo.content) for demo in found.demos}) == len(found.demos)
    if rule.get("demos_per_prompt", "one") in ("one", 1):
        assert len({demo.prompt for demo in found.demos}) == len(found.demos)
    if rule.get("per_prompt", "one") == "one":
        assert len(set(in_pairs)) == len(in_pairs)
    assert len(set(zip(in_pairs, found.rows["model"], strict=True))) == len(in_pairs)


@examples(4)
@given(many_answers(), domain_names, rules, splits, st.integers(0, 5), st.integers(2, 4))
def test_the_order_and_the_parts_of_the_tables_change_nothing(answers, domain, rule, split, order, parts):
    rule = meant_for(domain, rule)
    before = select(answers, domain, **rule, **split)
    after = select(answers, domain, order=order, parts=parts, **rule, **split)
    assert after.rows.equals(before.rows)
    assert [demo.id for demo in after.demos] == [demo.id for demo in before.demos]
    assert after.lost == before.lost


@examples(5)
@given(many_answers(), rules, st.sampled_from([(0.0, 0.25), (0.25, 0.4), (0.4, 0.5), (0.5, 1.0)]))
def test_a_larger_sft_share_never_adds_pairs(answers, rule, shares):
    """With bins a pair may come in the place of another, but never more of them."""
    less, more = (select(answers, split="share", sft_share=share, **rule) for share in shares)
    assert len(more.pairs) <= len(less.pairs)
    if not rule.get("length_bins"):
        assert {c.id for c, _, _ in more.pairs} <= {c.id for c, _, _ in less.pairs}
        assert {demo.prompt for demo in less.demos} <= {demo.prompt for demo in more.demos}


@examples(5)
@given(many_answers(), windows, windows)
def test_a_wider_window_loses_no_prompt(answers, one, other):
    wide = [min(one[0], other[0]), max(one[1], other[1])] if one and other else None
    assert prompts_of(select(answers, margin=one)) <= prompts_of(select(answers, margin=wide))


@examples(5)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=90), st.sampled_from([0.1, 0.5, 1, 9]))
def test_each_bin_is_balanced(lengths, width):
    answers = [
        answer for at, (chosen, rejected) in enumerate(lengths) for answer in sized(f"{at:02}", chosen + 3, rejected + 3)
    ]
    found = select(answers, length_bins=width)
    sides = {}
    for ratio in found.rows["log_length_ratio"]:
        if ratio:
            sides.setdefault(floor(abs(ratio) / width + 0.5), []).append(ratio > 0)
    assert all(2 * sum(longer) == len(longer) for longer in sides.values())
    assert sum(ratio == 0 for ratio in found.rows["log_length_ratio"]) == sum(c == r for c, r in lengths)


# ------------------------------------------------------------------------------------------------ judges, differences


def judges(*revisions, judge=None):
    values = recipe_of().model_dump(mode="json")
    values["score"] = [{"type": "armorm", "model": "j", "revision": revision} for revision in revisions]
    values["select"]["judge"] = judge
    return parse(values, "r", Path())


def test_the_only_judge_is_the_judge():
    assert chosen_judge(judges("1")) == "armorm@1"
    assert chosen_judge(judges("1", judge="armorm")) == "armorm@1"
    assert chosen_judge(recipe_of(judged=False)) is None


def test_of_several_judges_one_is_named():
    assert chosen_judge(judges("1", "2", judge="armorm@2")) == "armorm@2"


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (judges("1", "2"), "select.judge: the recipe has several judges, name one of armorm@1, armorm@2, mean_rank"),
        (judges("1", judge="other"), "select.judge: 'other' is not one of the recipe's judges: armorm@1, mean_rank"),
        (judges("1", "2", judge="armorm"), "select.judge: 'armorm' is the name of 2, write out one of armorm@1, armorm@2"),
        (judges("1", "1"), "score: two reward models would give the same scores; the judges are armorm@1; leave one out"),
        (judges(judge="armorm"), "select.judge: 'armorm' is not one of the recipe's judges: there are none"),
    ],
)
def test_a_judge_that_cannot_be_chosen(recipe, said):
    with pytest.raises(BadInput) as caught:
        chosen_judge(recipe)
    assert str(caught.value) == said
