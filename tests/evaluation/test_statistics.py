"""Intervals, paired differences, pass@k: figures that others computed, laws, and whether intervals hold what they promise."""

import math
import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.evaluation import statistics
from datakit.evaluation.statistics import bootstrap, interval, mcnemar, normal_p, pass_at_k, standard_error
from datakit.tables.intervals import wilson
from tests.helpers.tables import cases

DRAWS = 10_000


@pytest.mark.parametrize("case", cases("statistics.jsonl"))
def test_what_others_computed(case):
    match case["what"]:
        case "paired":
            n, won, lost = case["n"], case["won"], case["lost"]
            differences = pl.Series([1.0] * won + [-1.0] * lost + [0.0] * (n - won - lost))
            assert round(100 * differences.sum() / n, 3) == case["difference"]
            assert round(100 * standard_error(differences), 3) == case["error"]
            assert mcnemar(won, lost) == mcnemar(lost, won) == pytest.approx(case["p"], rel=1e-3)
        case "wilson":
            low, high = wilson(case["passed"] / case["n"], case["n"])
            assert (100 * low, 100 * high) == pytest.approx((case["low"], case["high"]), abs=0.005)
        case "pass_at_k":
            assert round(pass_at_k(case["n"], case["passed"], case["k"]), 6) == case["share"]
        case "smallest":
            assert round(100 * statistics.smallest_difference(case["n"]), 1) == case["points"]
        case _:
            assert standard_error(pl.Series(case["values"]), pl.Series(case["clusters"])) == pytest.approx(
                case["error"], abs=1e-6
            )


@pytest.mark.parametrize("k", [0, 6])
def test_pass_at_k_of_more_answers_than_there_are_is_refused(k):
    with pytest.raises(ValueError, match=f"pass@{k} needs at least {k} answers"):
        pass_at_k(5, 2, k)


# --------------------------------------------------------------------------------------------------------------------- laws

shares = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), min_size=2, max_size=60)


@given(shares)
def test_the_interval_is_inside_what_is_possible_and_has_the_score_in_it(values):
    found = pl.Series(values)
    low, high = interval(found, None, several=True)
    score = sum(values) / len(values)
    assert 0 <= low <= score + 1e-12 and score - 1e-12 <= high <= 1 and low < high


@given(shares)
def test_prompts_that_come_twice_are_no_new_evidence(values):
    """As clusters of two they say as much as once; taken for independent they would say more."""
    once, twice = pl.Series(values), pl.Series([*values, *values])
    pairs = pl.Series([*range(len(values)), *range(len(values))])
    assert standard_error(twice, pairs) == pytest.approx(standard_error(once), abs=1e-12)
    assert standard_error(twice) <= standard_error(once) + 1e-12
    assert bootstrap(twice, pairs).high - bootstrap(twice, pairs).low == pytest.approx(
        bootstrap(once).high - bootstrap(once).low, abs=0.12
    )


@given(st.integers(0, 60), st.integers(0, 60))
def test_flips_are_even_odds_at_most(won, lost):
    p = mcnemar(won, lost)
    assert 0 < p <= 1 and p == mcnemar(lost, won)
    assert (p == 1) == (abs(won - lost) <= 1)
    assert mcnemar(won + 20, lost) <= p or won < lost


def test_the_edges():
    none, one = pl.Series([], dtype=pl.Float64), pl.Series([1.0])
    assert wilson(math.nan, 0) == (0, 1) and interval(none, None, several=False) == (0, 1)
    assert math.isnan(standard_error(one)) and math.isnan(bootstrap(one).low)
    assert interval(pl.Series([0.5, 0.5]), pl.Series(["a", "a"]), several=True) == wilson(0.5, 1)
    assert interval(pl.Series([1.0, 0.5]), pl.Series(["a", "a"]), several=True) == (0, 1), "one cluster has no spread"
    assert interval(pl.Series([0.0] * 40), None, several=True) == wilson(0, 40), "no spread is no certainty"
    assert normal_p(0.0, 0.0) == 1.0 and normal_p(0.0196, 0.01) == pytest.approx(0.05, abs=1e-4)
    assert bootstrap(pl.Series([0.0, 1.0] * 30)) == bootstrap(pl.Series([0.0, 1.0] * 30)), "no chance in it"


# ----------------------------------------------------------------------------------------------------------------- coverage


def exact_coverage(n: int, p: float) -> float:
    """How often Wilson's interval holds p, over all that n draws can give."""
    chances = (math.comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(n + 1))
    return sum(chance for x, chance in enumerate(chances) if wilson(x / n, n).low <= p <= wilson(x / n, n).high)


@pytest.mark.parametrize("n, p, covers", [(40, 0.05, 0.952), (40, 0.5, 0.962), (500, 0.05, 0.95), (500, 0.5, 0.946)])
def test_wilson_covers_what_it_promises(n, p, covers):
    """Exactly, and in 10,000 evaluations.

    A share of forty moves in steps: at p = .5 the interval can hold 14..26 of 40 (96.2 %) or 15..25 (91.9 %), nothing between.
    """
    assert round(exact_coverage(n, p), 3) == covers
    held = {passed for passed in range(n + 1) if wilson(passed / n, n).low <= p <= wilson(passed / n, n).high}
    lots = random.Random(1)
    hits = sum(sum(lots.random() < p for _ in range(n)) in held for _ in range(DRAWS))
    assert hits / DRAWS == pytest.approx(covers, abs=0.007)  # three standard errors of 10,000 draws
    assert abs(covers - 0.95) < (0.013 if (n, p) == (40, 0.5) else 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("n, rounds", [(40, statistics.ROUNDS), (500, 500)])
@pytest.mark.parametrize("p", [0.05, 0.5])
def test_the_bootstrap_covers_95_percent_within_a_point(n, rounds, p):
    """Five answers a prompt, 10,000 evaluations. At n = 500 fewer rounds, for time; they can only make it worse."""
    lots, hits = random.Random(2), 0
    for draw in range(DRAWS):
        values = pl.Series([sum(lots.random() < p for _ in range(5)) / 5 for _ in range(n)])
        low, high = bootstrap(values, rounds=rounds, seed=draw)
        hits += low - 1e-9 <= p <= high + 1e-9  # p is one of the values that a mean can have
    assert abs(hits / DRAWS - 0.95) <= 0.01, hits / DRAWS
