"""Batches cut by tokens: whole, in order, shrinking where memory does not suffice; and what is cut of a long conversation."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.recipe import ArmoRM
from datakit.rewards.local.batching import WINDOW, Budget, score_all
from datakit.rewards.local.conversations import Limit, Tokens
from datakit.rewards.local.devices import CPU, GPU, budget_of
from datakit.rewards.protocol import Score, no_score
from tests.helpers.later import later

torch = later("torch")

BOS = 7
lengths = st.lists(st.integers(1, 40), max_size=30)


@dataclass
class Memory:
    """A token model that scores by length and holds so many tokens at a time, padding included."""

    holds: int = 10**9
    batches: list[list[int]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    refusal: RuntimeError = field(default_factory=lambda: torch.OutOfMemoryError("CUDA out of memory"))

    def encode(self, conversations):
        self.threads.add(threading.get_ident())
        return [no_score("no_answer", "-") if not c else Tokens([1] * len(c), 0) for c in conversations]

    def score_batch(self, batch):
        sizes = [len(row.ids) for row in batch]
        if len(sizes) * max(sizes) > self.holds:
            raise self.refusal
        self.batches.append(sizes)
        return [Score(float(size)) for size in sizes]


def talks(sizes):
    return [[{"role": "user", "content": ""}] * size for size in sizes]


@given(lengths, st.integers(1, 120))
def test_every_conversation_has_its_own_score_in_order_and_batches_keep_within_the_budget(sizes, tokens):
    model = Memory()
    assert [score.score for score in score_all(model, talks(sizes), Budget(tokens))] == [float(size) for size in sizes]
    assert all(len(batch) == 1 or len(batch) * max(batch) <= tokens for batch in model.batches)
    assert sorted(size for batch in model.batches for size in batch) == sorted(sizes)


@given(lengths, st.integers(1, 120), st.integers(0, 30))
def test_a_batch_has_no_more_padding_than_it_may_and_no_pass_more_than_it_must(sizes, tokens, padding):
    model = Memory()
    list(score_all(model, talks(sizes), Budget(tokens, padding=padding)))
    assert all(padding_of(batch) <= padding for batch in model.batches)
    for batch, following in pairwise(model.batches):
        longer = [*batch, following[0]]
        assert len(longer) * longer[0] > tokens or padding_of(longer) > padding


def test_of_a_large_model_less_is_padded_and_less_goes_into_one_pass():
    """One layer of hidden size h with an MLP of 4 h has 16 h^2 parameters and the 2 h of its norms; the last norm has h."""
    from transformers import LlamaConfig, LlamaModel

    sizes: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 4, "num_hidden_layers": 1, "vocab_size": 50_000}
    small, large = (LlamaModel(LlamaConfig(hidden_size=h, intermediate_size=4 * h, **sizes)) for h in (64, 256))
    passes = [int(CPU.launching / (16 * h**2 + 3 * h)) for h in (64, 256)]
    reward = ArmoRM(type="armorm", model="m")
    assert budget_of(reward, small) == Budget(CPU.tokens, padding=CPU.reading + passes[0])
    assert budget_of(reward, large) == Budget(int(CPU.activations) // 256, padding=CPU.reading + passes[1])
    told = budget_of(ArmoRM(type="armorm", model="m", batch_tokens=99, exact=True), small)
    assert (told.tokens, told.exact) == (99, True)
    elsewhere = budget_of(reward, small.to(torch.device("meta")))
    assert elsewhere == Budget(GPU.tokens, padding=GPU.reading + int(GPU.launching / (16 * 64**2 + 3 * 64)))


def padding_of(batch):
    return len(batch) * max(batch) - sum(batch)


@given(lengths, st.integers(1, 60))
def test_a_batch_that_does_not_fit_is_halved_down_to_a_single_row(sizes, holds):
    model, budget = Memory(holds), Budget(200)
    scores = list(score_all(model, talks(sizes), budget))
    assert [score.score for score in scores] == [float(size) if size <= holds else None for size in sizes]
    assert {score.error for score, size in zip(scores, sizes, strict=True) if size > holds} <= {"out_of_memory"}
    assert budget.tokens == 200 or (budget.tokens < 200 and max(sizes) * len(sizes) > holds)


def test_the_smaller_budget_stays():
    model, budget = Memory(holds=100), Budget(400)
    list(score_all(model, talks([10] * 40), budget))
    assert budget.tokens == 100 and [len(batch) for batch in model.batches] == [10] * 4


@pytest.mark.parametrize(
    "words",
    [
        "[enforce fail] DefaultCPUAllocator: can't allocate memory",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "MPS backend out of memory (MPS allocated: 9.0 GB)",
    ],
)
def test_lack_of_memory_has_many_words(words):
    model = Memory(20, refusal=RuntimeError(words))
    assert [score.error for score in score_all(model, talks([5] * 9 + [30]), Budget(100))] == [None] * 9 + ["out_of_memory"]


def test_another_error_is_that_of_the_row_that_has_it_alone():
    model, budget = Memory(29, refusal=RuntimeError("shapes do not match\nat line 3")), Budget(100)
    scores = list(score_all(model, talks([5, 30, 5, 9, 5]), budget))
    assert [score.error for score in scores] == [None, "model_error", None, None, None]
    assert scores[1].message == "RuntimeError: shapes do not match" and budget.tokens == 100


def test_exact_scores_one_by_one():
    model = Memory()
    list(score_all(model, talks([3, 9, 3]), Budget(1000, exact=True)))
    assert model.batches == [[9], [3], [3]]


def test_the_next_window_is_tokenized_in_another_thread_while_one_is_scored():
    model = Memory()
    scores = score_all(model, talks([2] * (3 * WINDOW)), Budget(10_000))
    next(scores)
    assert model.threads.isdisjoint({threading.get_ident()})
    assert len(list(scores)) == 3 * WINDOW - 1


def test_a_conversation_that_cannot_be_encoded_keeps_its_place():
    assert [score.error for score in score_all(Memory(), talks([2, 0, 3, 0]), Budget(9))] == [
        None,
        "no_answer",
        None,
        "no_answer",
    ]


# ------------------------------------------------------------------------------------------------------------ truncation


def row(n_before: int, n_after: int, bos: bool = True) -> Tokens:
    """Numbered tokens: the beginning, so many before the last header, so many from it on."""
    ids = ([BOS] if bos else []) + list(range(100, 100 + n_before)) + list(range(500, 500 + n_after))
    return Tokens(ids, len(ids) - n_after)


CUTS = {
    "fits": (row(4, 5), 10, [BOS, 100, 101, 102, 103, 500, 501, 502, 503, 504], 0),
    "the oldest goes": (row(4, 5), 8, [BOS, 102, 103, 500, 501, 502, 503, 504], 2),
    "all before the header goes": (row(4, 5), 6, [BOS, 500, 501, 502, 503, 504], 4),
    "no beginning to keep": (row(4, 5, bos=False), 6, [103, 500, 501, 502, 503, 504], 3),
}


@pytest.mark.parametrize("case", CUTS)
def test_the_oldest_tokens_are_cut_and_counted(case):
    tokens, limit, ids, n_cut = CUTS[case]
    kept = Limit(limit, "left").fit(tokens, BOS)
    assert isinstance(kept, Tokens)
    assert (kept.ids, kept.n_cut) == (ids, n_cut)
    assert kept.ids[kept.header] == 500, "the header is where it was"


@pytest.mark.parametrize(
    ("truncate", "limit", "message"),
    [("never", 9, "10 tokens are more than the limit of 9"), ("left", 5, "the answer alone has 5 tokens")],
)
def test_what_may_not_be_cut_is_a_failure(truncate, limit, message):
    refused = Limit(limit, truncate).fit(row(4, 5), BOS)
    assert isinstance(refused, Score) and refused.error == "too_long" and message in str(refused.message)


@given(st.integers(0, 9), st.integers(1, 9), st.integers(1, 20), st.booleans())
def test_a_cut_conversation_has_exactly_the_limit(n_before, n_after, limit, bos):
    whole = row(n_before, n_after, bos)
    kept = Limit(limit, "left").fit(whole, BOS)
    if isinstance(kept, Score):
        assert n_after + bos > limit
    else:
        assert len(kept.ids) == min(limit, len(whole.ids)) and len(kept.ids) + kept.n_cut == len(whole.ids)
        assert kept.ids[-n_after:] == whole.ids[-n_after:]
