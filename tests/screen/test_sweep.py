"""The table of a sweep in terminals of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from datakit.audit.length_report import RuleResult
from datakit.screen.sweep import COLUMNS, NARROW, draw_sweep

NUMBERS = (12_345, 12_345, 7_000, 0.567, 0.5, 0.6, 1.04, 0.0512, 0.05, 0.71, 12_000, 9_876, 700.0, 300.0)


@pytest.mark.parametrize(("width", "columns"), [(80, NARROW), (140, COLUMNS)])
def test_what_was_swept_is_never_cut(width: int, columns: tuple[str, ...]) -> None:
    settings: list[dict[str, object]] = [{}, {"length_ratio_max": 1.25, "length_adjust": 0.75}]
    said = io.StringIO()
    draw_sweep([RuleResult(one, *NUMBERS) for one in settings], Console(file=said, width=width))
    lines = said.getvalue().splitlines()
    header = next(line for line in lines if line.startswith("length_ratio_max  length_adjust"))
    assert [name for name in COLUMNS if f" {name}" in header] == [name for name in COLUMNS if name in columns]
    assert any(line.split()[:3] == ["1.25", "0.75", "12,345"] for line in lines) and "…" not in said.getvalue()
