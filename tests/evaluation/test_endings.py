"""How an answer ended: tables in, rows out."""

import duckdb
import pytest

from datakit.store import load_sql

MATH = ["failed"]
CODE = ["failed", "timeout"]

CASES = [  # outcome, complete, the outcomes that are wrong: the ending
    ("passed", True, MATH, "right"),
    ("passed", False, MATH, "right"),  # an answer given before the text was cut off
    ("failed", True, MATH, "wrong"),
    ("failed", False, MATH, "cut_off"),
    ("unparseable", True, MATH, "no_answer"),
    ("unparseable", False, MATH, "cut_off"),
    ("timeout", True, MATH, "cannot_judge"),  # the checker's
    ("timeout", True, CODE, "timeout"),  # the program's
    ("error", True, MATH, "cannot_judge"),
    ("unverifiable", False, CODE, "cannot_judge"),
    (None, True, MATH, "missing"),  # not verified yet
]


def endings(wanted, there, verdicts, failures, wrong):
    """What the statement gives, over tables of tuples."""
    connection = duckdb.connect()
    tables = {
        "wanted_responses": ("response_id, prompt_id, model, revision, sample_index, source_type", wanted),
        "current_responses": ("response_id, prompt_id, complete", there),
        "prompts": ("prompt_id, reference_digest", [("p", "now"), ("q", "now")]),
        "verdicts": ("response_id, verifier, reference_digest, outcome", verdicts),
        "current_failures": ("key, stage", failures),
    }
    for name, (columns, rows) in tables.items():
        types = ", ".join(
            f"{column} {'BOOLEAN' if column == 'complete' else 'BIGINT' if column == 'sample_index' else 'VARCHAR'}"
            for column in columns.split(", ")
        )
        connection.execute(f"CREATE TABLE {name} ({types})")
        if rows:
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    return connection.sql(load_sql("evaluation/answers"), params={"verifier": "v@1", "wrong": wrong}).fetchall()


@pytest.mark.parametrize(("outcome", "complete", "wrong", "ending"), CASES)
def test_every_outcome_has_one_ending(outcome, complete, wrong, ending):
    verdicts = [("r", "v@1", "now", outcome)] if outcome else []
    rows = endings([("r", "p", "m", None, 0, "endpoint")], [("r", "p", complete)], verdicts, [], wrong)
    assert rows == [("p", "m", None, 0, "r", ending)]


def test_only_the_verdict_of_this_verifier_on_the_present_gold_counts():
    verdicts = [("r", "v@0", "now", "passed"), ("r", "v@1", "before", "passed"), ("r", "v@1", "now", "failed")]
    [row] = endings([("r", "p", "m", None, 0, "endpoint")], [("r", "p", True)], verdicts, [], MATH)
    assert row[-1] == "wrong"


def test_what_is_not_there_is_failed_or_missing_and_a_hole_of_a_file_is_nothing():
    wanted = [
        ("a", "p", "m", None, 0, "endpoint"),
        ("b", "p", "m", None, 1, "endpoint"),
        ("c", "p", "f", None, 0, "responses"),
        ("d", "q", "f", None, 0, "responses"),
    ]
    failures = [("b", "sample"), ("a", "score"), ("d", "sample")]
    rows = endings(wanted, [], [], failures, MATH)
    assert [(row[4], row[5]) for row in rows] == [("a", "missing"), ("b", "failed"), ("d", "failed")]


def test_one_answer_of_two_prompts_is_judged_by_the_gold_of_each():
    wanted = [("r", "p", "m", None, 0, "endpoint"), ("r", "q", "m", None, 0, "endpoint")]
    rows = endings(wanted, [("r", "p", True), ("r", "q", True)], [("r", "v@1", "now", "passed")], [], MATH)
    assert [(row[0], row[-1]) for row in rows] == [("p", "right"), ("q", "right")]
