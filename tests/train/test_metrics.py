"""What is kept and shown of a training's course."""

import io
import json
import re
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from train.metrics import draw, recorder
from train.plot import MOST_POINTS, plot

LOGS = [
    {"step": step, "epoch": step / 10, "loss": 0.7 - step / 20, "rewards/margins": step / 10, "rewards/accuracies": 0.5}
    for step in range(1, 11)
]
EVALS = [{"step": step, "epoch": 1.0, "eval_loss": 0.6} for step in (5, 10)]
END = {"step": 10, "epoch": 1.0, "train_runtime": 3.2, "train_loss": 0.4}


def test_the_table_has_first_last_and_both_extremes_in_plain_columns():
    pipe = io.StringIO()
    draw([*LOGS, *EVALS, END], Console(file=pipe, width=100))
    lines = {row[0]: row[1:] for line in pipe.getvalue().splitlines() if (row := line.split())}
    assert lines["loss"] == ["0.65", "0.2", "0.2", "0.65"] and lines["rewards/margins"] == ["0.1", "1", "0.1", "1"]
    assert lines["eval_loss"] == ["0.6"] * 4 and set(pipe.getvalue()).isdisjoint("│─┃━┏")
    terminal = io.StringIO()
    draw(LOGS, Console(file=terminal, width=100, force_terminal=True))
    assert "━" in terminal.getvalue()


def test_a_training_that_logged_nothing_draws_nothing():
    pipe = io.StringIO()
    draw([END], Console(file=pipe))
    assert pipe.getvalue() == "" and plot([END]) is None and plot(LOGS[:1]) is None


def test_the_plot_is_plain_svg_and_its_lines_go_where_the_numbers_go():
    drawn = plot([*LOGS, *EVALS, END])
    root = ElementTree.fromstring(drawn)
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 4  # loss of training and evaluation, margins, accuracies
    ys = [[float(point.split(",")[1]) for point in line.attrib["points"].split()] for line in lines]
    assert ys[0] == sorted(ys[0]) and ys[0][0] < ys[0][-1], "the loss falls"
    assert ys[2] == sorted(ys[2], reverse=True), "margins rise"
    assert len(set(ys[3])) == 1 and "script" not in drawn and "style=" not in drawn
    assert root.attrib["role"] == "img" and not re.search(r"nan|inf", drawn)


def test_a_long_training_keeps_few_points_and_its_shape():
    logs = [{"step": step, "loss": 1.0 / step} for step in range(1, 20_001)]
    drawn = plot(logs)
    assert len(drawn) < 10_000
    (line,) = ElementTree.fromstring(drawn).findall("{http://www.w3.org/2000/svg}polyline")
    assert 0.9 * MOST_POINTS < len(line.attrib["points"].split()) <= MOST_POINTS


def test_lines_come_one_by_one_and_a_resume_keeps_those_before_it(tmp_path):
    pytest.importorskip("transformers")
    callback, state = recorder(tmp_path / "out"), SimpleNamespace(is_world_process_zero=True, log_history=list[Any]())

    def log(entry):
        state.log_history.append(entry)
        callback.on_log(None, state, None)

    def lines():
        return [json.loads(line)["step"] for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]

    callback.on_train_begin(None, state, None)
    for entry in LOGS[:4]:
        log(entry)
    assert lines() == [1, 2, 3, 4]
    state.log_history = LOGS[:2]  # as the checkpoint of step 2 has it
    callback.on_train_begin(None, state, None)
    log(LOGS[2])
    assert lines() == [1, 2, 3]
    other = recorder(tmp_path / "elsewhere")
    other.on_train_begin(None, SimpleNamespace(is_world_process_zero=False, log_history=[]), None)
    assert not (tmp_path / "elsewhere").exists()
