"""Win rates against figures that others published: AlpacaEval's, raw and length-controlled, and Arena-Hard's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datakit.evaluation.battles import win_rate
from datakit.evaluation.length_control import Gamed, length_controlled

LC = {  # alpaca_eval's results/NAME/weighted_alpaca_eval_gpt4_turbo: raw, length-controlled, its lc_standard_error
    "FuseChat-Llama-3.1-8B-Instruct": (63.3316, 65.3862, 0.667),
    "FuseChat-Qwen-2.5-7B-Instruct": (64.6407, 63.5830, 0.616),
    "FuseChat-Gemma-2-9B-Instruct": (70.4971, 70.1811, 0.594),
    "FuseChat-Llama-3.2-3B-Instruct": (51.2967, 53.9988, 0.695),
    "FuseChat-Llama-3.2-1B-Instruct": (29.9219, 25.2710, 0.641),
}
FEATURES = ("chars_model", "chars_baseline", "instruction_difficulty")
ARENA_HARD = {"gpt-4-0613": 37.90, "gpt-3.5-turbo-0125": 23.34}  # arena_hard_leaderboard_20240731.csv


def read(path: Path) -> pl.DataFrame:
    return pl.DataFrame([json.loads(line) for line in gzip.open(path, "rt")], infer_schema_length=None)


@pytest.fixture(scope="module")
def published(shared_data) -> pl.DataFrame:
    return read(shared_data / "eval" / "alpacaeval2_lc.jsonl.gz")


def gamed_in(published: pl.DataFrame) -> Gamed:
    rows = published.filter(pl.col("set") == "gamed")
    return Gamed(*(rows[name].to_numpy() for name in ("preference", "std_delta_len", "instruction_difficulty")))


@pytest.mark.parametrize("name", LC)
def test_the_published_length_controlled_win_rates(published, name):
    raw, controlled, spread = LC[name]
    rows = published.filter(pl.col("set") == name)
    preferences = (rows["preference"] - 1).to_numpy()
    own, others, difficulties = (rows[feature].to_numpy() for feature in FEATURES)
    found = length_controlled(preferences, own, others, difficulties, gamed_in(published), rounds=30)
    assert round(100 * preferences.mean(), 4) == raw
    assert 100 * found.win_rate == pytest.approx(controlled, abs=0.01)
    assert round(100 * found.spread, 3) == spread, "what is published as standard error"
    assert found.error > 1.5 * found.spread, "and leaves out most of it"
    assert found.interval.low < found.win_rate < found.interval.high


@pytest.mark.parametrize("name", ARENA_HARD)
def test_the_published_win_rates_of_arena_hard(shared_data, name):
    battles = read(shared_data / "eval" / "arena_hard_battles.jsonl.gz").filter(pl.col("model_b") == name)
    values = battles["winner"].replace_strict({"model_a": 0.0, "tie": 0.5, "model_b": 1.0})
    found = win_rate(battles["question_id"], values, pl.repeat(1, battles.height, eager=True))
    assert round(100 * found.share, 2) == ARENA_HARD[name]
    by_prompt, by_battle = (one.high - one.low for one in (found.interval, found.published))
    assert by_prompt > 1.3 * by_battle, "the battles of one prompt go together"
    assert found.interval.low < found.share < found.interval.high


RAW = {  # the same of all 805 instructions; below are 390 of them
    **{"FuseChat-Gemma-2-9B-Instruct": 70.5, "FuseChat-Qwen-2.5-7B-Instruct": 64.6, "FuseChat-Llama-3.1-8B-Instruct": 63.3},
    **{"FuseChat-Llama-3.2-3B-Instruct": 51.3, "FuseChat-Llama-3.2-1B-Instruct": 29.9, "OpenHermes-2.5-Mistral-7B": 10.3},
}


@pytest.fixture(scope="module")
def half(shared_data) -> pl.DataFrame:
    return read(shared_data / "responses" / "instruct_scored.jsonl.gz").select("prompt_id", "source_model", "score")


@pytest.mark.parametrize("name", RAW)
def test_the_published_raw_win_rates_lie_in_the_intervals_of_half_of_their_instructions(half, name):
    rows = half.filter(pl.col("source_model") == name)
    found = win_rate(rows["prompt_id"], rows["score"], pl.repeat(1, rows.height, eager=True))
    assert rows.height == 390 and found.interval.low < RAW[name] / 100 < found.interval.high
    assert abs(100 * found.share - RAW[name]) < 2.5 < 100 * (found.interval.high - found.interval.low)


def test_a_verdict_that_counts_three_times_is_three_battles():
    prompts, values = pl.Series(["a", "a", "b"]), pl.Series([1.0, 0.5, 0.0])
    assert win_rate(prompts, values, pl.Series([3, 1, 1])).share == pytest.approx(3.5 / 5)


def planted(n: int, of_length: float, of_model: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Preferences, lengths and the baseline's lengths, where length and the model make the preference."""
    random = np.random.default_rng(3)
    own, others = random.integers(400, 3000, n).astype(float), random.integers(400, 3000, n).astype(float)
    own += 700
    z = of_length * np.tanh((own - others) / (own - others).std(ddof=1)) + of_model
    return (random.random(n) < 1 / (1 + np.exp(-z))).astype(float), own, others


def test_what_length_alone_has_won_goes():
    """No difficulties and no gamed baselines: any judge, any baseline."""
    won, own, others = planted(1500, of_length=3.0, of_model=0.0)
    found = length_controlled(won, own, others, rounds=60)
    assert won.mean() > 0.65 and found.interval.low < 0.5 < found.interval.high
    assert found.coefficients[0] == pytest.approx(-3.0, abs=0.4) and len(found.coefficients) == 2
    without, _, _ = planted(1500, of_length=0.0, of_model=1.0)
    assert length_controlled(without, own, others, rounds=0).win_rate == pytest.approx(without.mean(), abs=0.02)


def test_answers_of_one_length_change_nothing_and_a_handful_says_nothing():
    won = (np.random.default_rng(5).random(800) < 0.7).astype(float)
    same = np.full(len(won), 500.0)
    assert length_controlled(won, same, same, rounds=0).win_rate == pytest.approx(won.mean(), abs=0.01)
    assert np.isnan(length_controlled(won[:4], same[:4], same[:4]).win_rate)


def test_the_same_rows_give_the_same_interval():
    rows = planted(200, 1.0, 0.5)
    assert length_controlled(*rows, rounds=50) == length_controlled(*rows, rounds=50)
    assert length_controlled(*rows, rounds=50).interval != length_controlled(*rows, rounds=50, seed=1).interval
