"""docs/run.md names every table, view, key and column that a run has, with its type."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from datakit.audit.contents import VIEWS
from datakit.store.database import Database
from datakit.tables import OUTCOMES, TABLES
from datakit.tables.schemas import FLAGS
from tests.helpers.folders import ROOT

CHAPTERS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", (ROOT / "docs" / "run.md").read_text("utf-8"), re.S | re.M))
COLUMN = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMES = [*TABLES, *VIEWS]


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Iterator[Database]:
    database = Database(tmp_path_factory.mktemp("run"))
    yield database
    database.close()


def said_of(name: str) -> dict[str, str]:
    """Columns and types on the page; a view may stand on a table's."""
    on = re.search(r"The columns of `(\w+)`", CHAPTERS[name])
    return (said_of(on[1]) if on else {}) | {column: words.strip() for column, words, _ in COLUMN.findall(CHAPTERS[name])}


def test_the_page_has_the_tables_and_views_that_datakit_sql_lists():
    assert list(CHAPTERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_columns_and_types_are_those_of_a_run(name, empty):
    columns = empty.query(f'DESCRIBE SELECT * FROM "{name}"').select("column_name", "column_type").rows()
    assert list(said_of(name).items()) == columns


@pytest.mark.parametrize("name", TABLES)
def test_keys_are_those_of_the_tables(name):
    key = re.search(r"Key: ([^.;]+)[.;]", CHAPTERS[name])
    assert tuple(re.findall(r"`(\w+)`", key[1])) == TABLES[name].key


def test_words_that_a_column_may_hold_are_all_there():
    for name, column, words in (("verdicts", "outcome", OUTCOMES), ("flags", "flag", FLAGS)):
        (meaning,) = [meaning for found, _, meaning in COLUMN.findall(CHAPTERS[name]) if found == column]
        assert re.findall(r"`(\w+)`", meaning) == list(words)
