"""Which teacher stands beside a text, and which texts are left out: tiny tables in, rows out."""

import polars as pl
import pytest

from datakit.store import Run, load_sql
from datakit.tables import failure_row

READINGS = [  # name, is it the pivot
    ("a", False), ("b", False), ("p", True),
]  # fmt: skip
TEXTS = [("t1", "a"), ("t2", "b"), ("t3", None), ("t4", "a")]  # its author; a solution has none
NATS = {  # of 10 bytes
    ("t1", "a"): 4.0, ("t1", "b"): 2.0, ("t1", "p"): 3.0,
    ("t2", "a"): 9.0, ("t2", "b"): 5.0, ("t2", "p"): 5.0,  # a tie goes to the pivot
    ("t3", "a"): 1.0, ("t3", "p"): 7.0,  # b has not read it yet
    ("t4", "a"): 6.0, ("t4", "b"): 8.0,  # the pivot could not
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with Run.create(tmp_path_factory.mktemp("run")) as run:
        run.append(
            "readings", [{"model": name, "reading": "{}", "is_pivot": pivot, "by_author": False} for name, pivot in READINGS]
        )
        run.append(
            "distributions",
            [
                {"text_id": text, "model": model, "reading": "{}", "n_bytes": 10, "nll": nll}
                for (text, model), nll in NATS.items()
            ]
            + [{"text_id": "t3", "model": "b", "reading": "another", "n_bytes": 10, "nll": 0.1}],
        )
        run.append(
            "failures",
            [
                failure_row("probe", "t4", "p", "too_long", None),
                failure_row("probe", "t3", "b", "crash", None, permanent=False),
            ],
        )
        yield run


def chosen(run, teacher, readings=None):
    run.keep(
        "probed_texts",
        pl.DataFrame(TEXTS, schema=["text_id", "author"], orient="row").with_columns(
            prompt_id="text_id", response_id="text_id"
        ),
    )
    rows = run.query(f"SELECT * FROM ({load_sql('export/choose_teachers')}) ORDER BY source, text_id", {"teacher": teacher})
    return [
        (row["source"], row["text_id"], row["unread"] or row["model"], row["teacher_nll_per_byte"], row["pivot_nll_per_byte"])
        for row in rows.iter_rows(named=True)
    ]


def test_min_ce_takes_the_one_with_the_fewest_nats_a_byte(run):
    assert chosen(run, "min_ce") == [
        (None, "t1", "b", 0.2, 0.3), (None, "t2", "p", 0.5, 0.5), (None, "t3", "missing", 0.1, 0.7), (None, "t4", "a", 0.6,
        None), ]  # fmt: skip


def test_the_author_is_its_own_teacher_and_a_solution_has_none(run):
    assert chosen(run, "author") == [(None, "t1", "a", 0.4, 0.3), (None, "t2", "b", 0.5, 0.5), (None, "t4", "a", 0.6, None)]


def test_pairwise_has_each_source_against_the_pivot(run):
    """Where the pivot or the source could not read there is nothing to compare."""
    assert chosen(run, "pairwise") == [
        ("a", "t1", "p", 0.3, 0.3), ("a", "t2", "p", 0.5, 0.5), ("a", "t3", "a", 0.1, 0.7), ("a", "t4", "failed", 0.6, None),
        ("b", "t1", "b", 0.2, 0.3), ("b", "t2", "p", 0.5, 0.5), ("b", "t3", "missing", 0.7, 0.7), ("b", "t4", "failed", 0.8,
        None), ]  # fmt: skip


def test_who_reads_its_own_answers_alone_is_not_waited_for(run, tmp_path):
    with Run.create(tmp_path / "run") as own:
        own.append("readings", [{"model": name, "reading": "{}", "is_pivot": False, "by_author": True} for name in "ab"])
        own.append("distributions", [{"text_id": "t1", "model": "a", "reading": "{}", "n_bytes": 10, "nll": 4.0}])
        assert chosen(own, "author") == [
            (None, "t1", "a", 0.4, None), (None, "t2", "missing", None, None), (None, "t4", "missing", None, None),
        ]  # fmt: skip


def test_before_anybody_has_read_all_are_missing(tmp_path):
    with Run.create(tmp_path / "run") as new:
        assert [row[2] for row in chosen(new, "min_ce")] == ["missing"] * 4
