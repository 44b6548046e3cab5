"""Tables of cases as parameters of a test."""

from __future__ import annotations

import json

import pytest

from tests.helpers.folders import CASES


def cases(name):
    rows = [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").splitlines()]
    return [pytest.param(row, id=f"{n}-{row['source']}") for n, row in enumerate(rows)]
