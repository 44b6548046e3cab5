"""Alignment by bytes: golden values, and laws over random texts and every micro tokenizer."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.folders import ROOT
from tests.helpers.laws import examples
from train.align import Aligner, Reading, Tokens, run_to, shared, tokens_of
from train.spelling import token_bytes

MICRO = ROOT / "data" / "micro"
NAMES = ("target", "llama", "qwen2", "mistral", "gemma2", "chinese")
NUMBERS = st.text("0123456789+-*/=# .\n$", min_size=1, max_size=30)
TEXTS = st.one_of(NUMBERS, st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
# ids: 10, " +", " 12", 2, end                              1, 0, " + ", 12, 2, end
TARGET, SOURCE = [b"10", b" +", b" 12", b"2", None], [b"1", b"0", b" + ", b"12", b"2", None]


def logs(**probabilities):
    return [(int(name[1:]), math.log(probability)) for name, probability in probabilities.items()]


def sums():
    """`10 + 12` for both, with the end of the turn."""
    target, source = Tokens([0, 1, 2, 4], [2, 4, 7, 7]), Tokens([0, 1, 2, 3, 5], [1, 2, 5, 7, 7])
    own = [math.log(one) for one in (0.8, 0.5, 0.9, 0.7, 0.6)]
    top = [logs(_0=0.8, _4=0.15), logs(_1=0.5, _4=0.4), logs(_2=0.9), logs(_3=0.7), logs(_5=0.6, _0=0.3)]
    return target, Reading(source, own, top)


def test_golden_rows():
    """Place 0: `10` is 1 then 0, .8 x .5; `2` has the same bytes. Place 2 begins where no token of the source does."""
    target, reading = sums()
    aligner = Aligner(SOURCE, TARGET, 10)
    aligner.count(target, reading.tokens)
    found = aligner.soften(target, reading)
    assert list(found) == [0, 1, 3]
    assert found[0].mass == pytest.approx(0.55) and found[0].chained
    assert found[0].probabilities == pytest.approx({0: 0.727273, 3: 0.272727}, abs=1e-6)
    assert found[1].probabilities == {1: 1.0} and found[1].mass == pytest.approx(0.9)
    assert not found[1].chained, "the source's token passes the target's end"
    # the end of the turn, and what would have gone on: `1` stands for `10` where both began together
    assert found[3].probabilities == pytest.approx({4: 2 / 3, 0: 1 / 3}) and found[3].chained


def test_a_split_character():
    """Of a character of four bytes the source has two tokens, the target three."""
    target, source = [b"\xf0\x9f", b"\xa6", b"\x99", b"a"], [b"\xf0", b"\x9f\xa6\x99", b"a", b"\xf0\x9f\xa6\x98"]
    ours, theirs = Tokens([0, 1, 2, 3], [2, 3, 4, 5]), Tokens([0, 1, 2], [1, 4, 5])
    reading = Reading(theirs, [math.log(0.5)] * 3, [logs(_0=0.5, _3=0.4), logs(_1=0.5), logs(_2=0.5)])
    found = Aligner(source, target, 10).soften(ours, reading)
    assert list(found) == [0, 3], "only the beginning and the place behind the character begin alike"
    assert not found[0].chained, "the target's first two bytes are one whole token of the source and a part of the next"
    assert found[0].probabilities == {0: pytest.approx(1.0)}, "both candidates begin with the bytes of the target's token"
    assert found[0].mass == pytest.approx(0.9)


def test_spaces_that_a_template_adds_are_no_part_of_a_text():
    """The source's first token is ` 10` for `10`, and so are its candidates; the target's first may be so, too."""
    source = [b" 10", b" 12", None]
    reading = Reading(Tokens([0, 2], [2, 2]), [math.log(0.6), -0.1], [logs(_0=0.6, _1=0.3), logs(_2=0.9)])
    found = Aligner(source, [b"10", b"12", None], 2).soften(Tokens([0, 2], [2, 2]), reading)
    assert found[0].probabilities == pytest.approx({0: 2 / 3, 1: 1 / 3})
    same = Aligner(source, source, 2).soften(Tokens([0, 2], [2, 2]), reading)
    assert same[0].probabilities == pytest.approx({0: 2 / 3, 1: 1 / 3})


@pytest.mark.parametrize(("counted", "candidate", "mapped"), [
    ([], 4, 3),  # the same bytes
    ([], 0, None),  # `1`: nothing begins with it
    ([(0, 0)], 0, 0),  # but it began where `10` did, and `10` ended with a token of the source
    ([], 2, 1),  # ` + `: the longest that it begins with
    ([], 5, None), ([], 77, None),  # special, or unknown
])  # fmt: skip
def test_where_a_candidate_goes(counted, candidate, mapped):
    aligner = Aligner(SOURCE, TARGET, 10)
    for source, target in counted:
        aligner.count(Tokens([target], [2]), Tokens([source, 1], [1, 2]))
    assert aligner._map(candidate, 0, b"") == mapped


def test_the_most_frequent_pair_wins_and_few_are_kept():
    aligner = Aligner([b"a", b"b", b"c"], [b"ab", b"ac", b"b", b"c"], 1)
    for second, whole, times in ((1, 0, 2), (2, 1, 3)):
        for _ in range(times):
            aligner.count(Tokens([whole], [2]), Tokens([0, second], [1, 2]))
    assert aligner._map(0, 0, b"") == 1
    reading = Reading(Tokens([1], [1]), [math.log(0.2)], [logs(_2=0.7, _1=0.2)])
    found = aligner.soften(Tokens([2], [1]), reading)[0]
    assert found.probabilities == {3: 1.0} and found.mass == pytest.approx(0.7) and found.chained


@pytest.mark.parametrize(("ids", "first", "found"), [
    ([0, 1, 2, 4], 0, ([0, 1, 2, 4], [2, 4, 7, 7])),
    ([5, 0, 1, 2, 4, 6], 1, ([0, 1, 2, 4], [2, 4, 7, 7])),  # white space in front, and what follows the end of the turn
    ([0, 1], 0, ([0, 1], [2, 4])),  # cut
    ([0, 1, 4], 0, ([0, 1], [2, 4])),  # a special token within
    ([0, 3], 0, ([], [])), ([], 0, ([], [])),  # another text
])  # fmt: skip
def test_the_tokens_of_a_completion(ids, first, found):
    at, tokens = tokens_of(ids, [*TARGET, b" ", b"\n"], b"10 + 12")
    assert (at, (list(tokens.ids), list(tokens.ends))) == (first, found)


# ----------------------------------------------------------------------------------------------------------------- laws


@pytest.fixture(scope="module")
def tokenizers():
    from tokenizers import Tokenizer

    found = {}
    for name in NAMES:
        path = MICRO / name / "tokenizer.json"
        found[name] = Tokenizer.from_file(str(path)), token_bytes(json.loads(path.read_text(encoding="utf-8")))
    return found


def tokenized(tokenizers, name, text):
    tokenizer, spelt = tokenizers[name]
    return tokens_of(tokenizer.encode(text, add_special_tokens=False).ids, spelt, text.encode())[1]


@pytest.mark.parametrize("name", NAMES[1:])
@examples(20)
@given(text=TEXTS)
def test_it_is_monotone_and_symmetric(tokenizers, name, text):
    if not (text := text.strip()):
        return
    ours, theirs = (tokenized(tokenizers, one, text) for one in ("target", name))
    pairs = list(shared(ours, theirs))
    assert pairs == [(at, other) for other, at in shared(theirs, ours)]
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert all(ours.start(at) == theirs.start(other) for at, other in pairs)
    in_both = {start for start in ours.starts if start in theirs.starts}
    assert len(pairs) == len(in_both), "every byte at which a token of both begins is one pair"


@pytest.mark.parametrize("name", NAMES)
@examples(20)
@given(text=TEXTS, seed=st.integers(0, 1000))
def test_the_same_tokenizer_gives_all_places_and_the_sources_own_rows(tokenizers, name, text, seed):
    import random

    if not (text := text.strip()):
        return
    tokens, chance = tokenized(tokenizers, name, text), random.Random(seed)
    spelt = tokenizers[name][1]
    usual = [id for id, piece in enumerate(spelt) if piece and spelt.index(piece) == id and piece.strip()]
    top = []
    for id in tokens.ids:
        others = [one for one in chance.sample(usual, 3) if one != id]
        top.append([(id, math.log(0.6)), *[(one, math.log(0.1)) for one in others]])
    reading = Reading(tokens, [math.log(0.6)] * len(tokens.ids), top)
    aligner = Aligner(spelt, spelt, 10)
    aligner.count(tokens, tokens)
    found = aligner.soften(tokens, reading)
    assert list(found) == list(range(len(tokens.ids)))
    for at, soft in found.items():
        total = sum(math.exp(logprob) for _, logprob in top[at])
        assert soft.chained and soft.mass == pytest.approx(total)
        assert soft.probabilities == pytest.approx({id: math.exp(logprob) / total for id, logprob in top[at]})


@given(ends=st.lists(st.integers(1, 4), min_size=1, max_size=8), end=st.integers(1, 20))
@examples(20)
def test_a_run_ends_where_it_says(ends, end):
    from itertools import accumulate

    tokens = Tokens(list(range(len(ends))), list(accumulate(ends)))
    n = run_to(tokens, 0, end)
    assert (n is None) == (end not in tokens.ends) and (n is None or tokens.ends[n - 1] == end)
