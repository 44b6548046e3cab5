"""n independent samples, whatever the server does: one source model asked through the real client, answers kept in a list."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from aiohttp import web

from datakit.client import OPEN, calls, client_for, replica
from datakit.errors import SourceStopped
from datakit.recipe import EndpointSource
from datakit.sample.one_source import Ask, Sampler
from datakit.tables import Message, Messages, Rows, digest_of_messages, make_response_id
from tests.helpers.fake_endpoint import (
    BROKEN,
    CHOICES,
    CONNECTION,
    ERRORS,
    Body,
    Fake,
    body_text,
    error,
    fastapi_refusal,
    first,
    openai_refusal,
    running,
)

PROMPTS, N = 6, 5
SAMPLING = {"temperature": 0.8, "top_p": 0.9, "max_tokens": 64, "stop": ["\n\n"]}


@pytest.fixture
def fake(monkeypatch):
    """An endpoint; what fails is asked again soon."""
    monkeypatch.setattr(calls, "backoff", lambda times: 0.01)
    monkeypatch.setattr(replica, "backoff", lambda times: 0.01)
    with running(Fake()) as endpoint:
        yield endpoint


class Sampled:
    """What was stored, and what there is to say of it."""

    def __init__(self, fake: Fake, prompts: int = PROMPTS, have: Rows | None = None, **changes: Any) -> None:
        settings: dict[str, Any] = {"n": N, "sampling": SAMPLING, "max_in_flight": 4, "timeout_s": 20.0} | changes
        self.source = EndpointSource(type="endpoint", model="fake/one", base_urls=[fake.url], **settings)
        self.responses: Rows = []
        self.failures: Rows = []
        self.stores: list[int] = []
        had = {row["response_id"] for row in have or []}
        self.asks = [
            Ask(
                str(at),
                messages,
                digest_of_messages(messages),
                {index: key for index, key in self._ids(messages).items() if key not in had},
            )
            for at, messages in enumerate([Message(role="user", content=f"What is {at} + 2?")] for at in range(prompts))
        ]
        asyncio.run(self._sample())

    def _ids(self, messages: Messages) -> dict[int, str]:
        start = (digest_of_messages(messages), self.source.model, self.source.revision, self.source.sampling_text)
        return {index: make_response_id(*start, index) for index in range(self.source.n)}

    async def _sample(self) -> None:
        source = self.source
        async with client_for(source, source.base_urls, OPEN, proven=False) as client:
            self.sampler = Sampler(source, client)
            await asyncio.wait_for(self.sampler.sample(iter(self.asks), self._store), 60)

    def _store(self, responses: Rows, failures: Rows) -> None:
        self.responses += responses
        self.failures += failures
        self.stores.append(len(responses))

    @property
    def table(self) -> list[tuple[str, int, int, str]]:
        """prompt_id, sample_index, seed, text of every response, in order."""
        columns = ("prompt_id", "sample_index", "seed", "text")
        return sorted(tuple(row[column] for column in columns) for row in self.responses)

    def is_complete(self) -> bool:
        """n responses for every prompt, each index once, none of them blank, and no failure."""
        wanted = {(ask.prompt_id, index) for ask in self.asks for index in range(self.source.n)}
        got = Counter((row["prompt_id"], row["sample_index"]) for row in self.responses)
        return got == Counter(wanted) and all(row["text"].strip() for row in self.responses) and not self.failures


def one_choice_only(name: str) -> web.Response:
    """As llama.cpp says that it takes no n."""
    return error(400, "Only one completion choice is allowed")


# ---------------------------------------------------------------------------------------------------- n samples of a prompt


@pytest.mark.parametrize("mode, requests", [("n", PROMPTS), ("auto", PROMPTS), ("single", PROMPTS * N)])
def test_one_request_for_all_or_one_for_each(fake, mode, requests):
    sampled = Sampled(fake, request=mode)
    assert sampled.is_complete() and fake.n_requests == requests
    assert {body.get("n", 1) for body in fake.requests} == {N if requests == PROMPTS else 1}
    seeds = [body["seed"] for body in fake.requests]
    assert len(set(seeds)) == len(seeds), "every request has a seed of its own"
    assert fake.asked_twice == 0 and {row["seed"] for row in sampled.responses} == set(seeds)


@pytest.mark.parametrize("mode", ["n", "auto", "single"])
def test_a_server_that_ignores_n_is_topped_up(fake, mode):
    fake.ignore_n = True
    sampled = Sampled(fake, request=mode)
    assert sampled.is_complete() and fake.n_requests == PROMPTS * N and fake.asked_twice == 0
    texts = [len({text for prompt, _, _, text in sampled.table if prompt == str(at)}) for at in range(PROMPTS)]
    assert min(texts) >= 3, "each has a seed of its own"


@pytest.mark.parametrize("fault", ["fewer", "more"])
def test_choices_are_counted(fake, fault):
    fake.shares = {fault: 1.0}
    sampled = Sampled(fake)
    assert sampled.is_complete()
    assert [row for row in sampled.table if row[0] == "0"] == sorted(
        {row[1:2]: row for row in sampled.table if row[0] == "0"}.values()
    )
    assert fake.n_requests == {"fewer": 3 * PROMPTS, "more": PROMPTS}[fault], "5 = 3 + 1 + 1"


def test_sixty_five_and_more_are_asked_for_in_parts(fake):
    assert Sampled(fake, prompts=1, n=130).is_complete()
    assert sorted(body.get("n", 1) for body in fake.requests) == [2, 64, 64]


def test_rows_say_what_was_asked(fake):
    sampled = Sampled(fake)
    digests = {ask.prompt_id: ask.messages_digest for ask in sampled.asks}
    assert all(row["messages_digest"] == digests[row["prompt_id"]] for row in sampled.responses)


def test_only_the_missing_ones_are_asked_for(fake):
    whole = Sampled(fake, request="single")
    fake.requests.clear()
    rest = Sampled(fake, have=[row for row in whole.responses if row["sample_index"] != 3], request="single")
    assert len(fake.requests) == PROMPTS and rest.table == [row for row in whole.table if row[1] == 3]


def test_what_a_request_says(fake):
    source = Sampled(
        fake, prompts=1, system="Be short.", extra_body={"top_k": 7, "chat_template_kwargs": {"thinking": False}}
    ).source
    (body,) = fake.requests
    system, question = {"role": "system", "content": "Be short."}, {"role": "user", "content": "What is 0 + 2?"}
    sent = {"model": source.model, "messages": [system, question], "n": 5, "top_k": 7}
    assert body == sent | SAMPLING | {"chat_template_kwargs": {"thinking": False}, "seed": body["seed"]}


@pytest.mark.parametrize("changes", [{"system": "Be short."}, {"extra_body": {"top_k": 7}}, {"sampling": {"temperature": 1.0}}])
def test_what_shapes_an_answer_shapes_its_seed(fake, changes):
    one, other = Sampled(fake), Sampled(fake, **changes)
    assert not {row["response_id"] for row in one.responses} & {row["response_id"] for row in other.responses}
    assert not {row["seed"] for row in one.responses} & {row["seed"] for row in other.responses}


# --------------------------------------------------------------------------------------------------- copies and equal texts


def same_text(number: int, body: Body) -> Any:
    """Whatever is asked, the answer is 4, once a choice: two samples may agree."""
    return body_text(json.dumps({"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}] * body.get("n", 1)}))


def test_copies_are_asked_again_once_with_new_seeds(fake):
    fake.copies = "once"
    sampled = Sampled(fake)
    assert sampled.is_complete() and fake.n_requests == 2 * PROMPTS
    for at in range(PROMPTS):
        mine = [row for row in sampled.table if row[0] == str(at)]
        assert len({text for *_, text in mine}) >= 3 and len({seed for _, _, seed, _ in mine}) == 2


def test_samples_that_agree_are_kept_and_asked_for_once_more_only(fake):
    fake.fault = same_text
    sampled = Sampled(fake)
    assert sampled.is_complete() and {text for *_, text in sampled.table} == {"4"}
    assert fake.n_requests == 2 * PROMPTS


@pytest.mark.parametrize(
    "changes, requests",
    [({"sampling": {"temperature": 0.0}}, PROMPTS), ({"n": 1}, PROMPTS), ({"request": "single"}, PROMPTS * N)],
    ids=["greedy as asked for", "one sample", "a request each"],
)
def test_where_equal_texts_are_no_copies_they_are_not_asked_again(fake, changes, requests):
    fake.fault = same_text
    assert Sampled(fake, **changes).is_complete() and fake.n_requests == requests


# --------------------------------------------------------------------------------------------------------- what was no answer


@pytest.mark.parametrize("fault", ["empty_text", "blank_text", "null_text", "one_empty_text", "empty_choices", "null_message"])
def test_what_is_empty_is_asked_again_with_another_seed(fake, fault):
    fake.fault = first(fault)
    sampled = Sampled(fake)
    assert sampled.is_complete() and fake.n_requests == PROMPTS + 1
    seeds = [body["seed"] for body in fake.requests]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("fault", ["empty_text", "blank_text", "null_text", "empty_choices", "null_message"])
def test_what_stays_empty_is_a_failure_that_says_so(fake, fault):
    fake.fault = lambda number, body: fault if "What is 2 +" in body["messages"][-1]["content"] else None
    sampled = Sampled(fake)
    assert {row["error"] for row in sampled.failures} == {"empty"} and len(sampled.failures) == N
    assert {row["permanent"] for row in sampled.failures} == {False}, "another build asks again"
    assert [row["attempts"] for row in sampled.failures] == [4] * N == [fake.met[fault]] * N
    assert len(sampled.responses) == (PROMPTS - 1) * N


@pytest.mark.parametrize("fault", ["content_filter", "filtered_text", "refusal"])
def test_what_is_withheld_is_a_failure_for_good(fake, fault):
    fake.fault = lambda number, body: fault if "What is 2 +" in body["messages"][-1]["content"] else None
    sampled = Sampled(fake)
    assert [(row["error"], row["permanent"]) for row in sampled.failures] == [("content_filter", True)] * N
    assert fake.met == {fault: 1} and len(sampled.responses) == (PROMPTS - 1) * N


@pytest.mark.parametrize("fault", ["one_filtered_text", "one_failed_choice", "one_aborted"])
def test_of_several_choices_the_one_that_is_no_answer_is_asked_again(fake, fault):
    fake.fault = first(fault)
    sampled = Sampled(fake)
    assert sampled.is_complete() and fake.n_requests == PROMPTS + 1
    assert {row["finish_reason"] for row in sampled.responses} == {"stop"}
    assert len({row["seed"] for row in sampled.responses}) == PROMPTS + 1


@pytest.mark.parametrize("fault", ["failed_choices", "error_beside"])
def test_an_error_beside_the_choices_is_asked_again_and_then_a_failure_for_now(fake, fault):
    fake.fault = lambda number, body: fault if "What is 2 +" in body["messages"][-1]["content"] else None
    sampled = Sampled(fake)
    assert [(row["error"], row["permanent"], row["attempts"]) for row in sampled.failures] == [("error_in_200", False, 6)] * N
    assert "upstream broke off" in sampled.failures[0]["message"] and len(sampled.responses) == (PROMPTS - 1) * N


@pytest.mark.parametrize("fault", ["parts", "thinking_parts", "reasoning_content", "reasoning"])
def test_the_text_is_the_same_in_every_layout(fake, fault):
    """And the thought is no part of it."""
    plain = Sampled(fake)
    fake.shares = {fault: 1.0}
    assert Sampled(fake).table == plain.table


@pytest.mark.parametrize("mode", ["n", "auto"])
@pytest.mark.parametrize("refusal", [openai_refusal, fastapi_refusal, one_choice_only], ids=["OpenAI", "FastAPI", "llama.cpp"])
def test_a_server_that_refuses_n_is_asked_one_by_one(fake, mode, refusal):
    """Also with more prompts than refusals that would stop a source."""
    fake.refuses, fake.refusal = ("n",), refusal
    sampled = Sampled(fake, prompts=40, request=mode, max_in_flight=32)
    assert sampled.is_complete() and fake.asked_twice == 0
    assert fake.n_requests <= 40 * N + 40


def test_a_request_for_one_that_is_refused_for_n_is_refused(fake):
    """The control: there is nothing to fall back to."""
    fake.fault = lambda number, body: openai_refusal("n")
    with pytest.raises(SourceStopped, match="'n' is not supported"):
        Sampled(fake)


@pytest.mark.parametrize("fields", [["seed"], ["n"], ["temperature", "top_p"]])
def test_what_is_omitted_is_not_sent(fake, fields):
    sampled = Sampled(fake, omit=fields)
    assert sampled.is_complete() and not any(name in body for body in fake.requests for name in fields)
    assert {row["seed"] is None for row in sampled.responses} == {"seed" in fields}
    assert fake.n_requests == (PROMPTS * N if "n" in fields else PROMPTS)


def test_what_shapes_an_answer_is_of_its_identity_only_where_it_is_sent(fake):
    def ids(**changes: Any) -> set[str]:
        return {row["response_id"] for row in Sampled(fake, **changes).responses}

    without = {name: value for name, value in SAMPLING.items() if name != "top_p"}
    assert ids(omit=["seed"]) == ids() and ids(omit=["top_p"]) == ids(sampling=without) != ids()


def test_what_was_cut_off_by_its_length_is_kept_and_marked(fake):
    """Asking until an answer is short would select for short ones."""
    fake.shares = {"length": 1.0}
    sampled = Sampled(fake)
    assert {row["finish_reason"] for row in sampled.responses} == {"length"} and not sampled.failures
    assert len(sampled.responses) == PROMPTS * N and fake.n_requests <= 2 * PROMPTS, "cut so short they are all one text"


def test_tokens_of_a_request_add_up(fake):
    sampled = Sampled(fake)
    for at in range(PROMPTS):
        mine = [row for row in sampled.responses if row["prompt_id"] == str(at)]
        assert sum(row["n_tokens"] for row in mine) == sum(len(row["text"].split()) for row in mine)
    assert sampled.sampler.progress().prompt_tokens == 11 * PROMPTS
    assert sampled.sampler.progress().completion_tokens == sum(row["n_tokens"] for row in sampled.responses)


# ------------------------------------------------------------------------------------------------------------- faults at large

ONCE = [
    *BROKEN,
    *(name for name in ERRORS if int(ERRORS[name][0]) >= 500 or name in ("408", "429")),
    *set(CONNECTION) - {"hang", "hang_middle"},
]


def test_an_unsteady_server_gives_the_same_samples_as_a_steady_one(fake):
    """A twentieth of the requests meets one of 25 faults, and nothing that was no answer is stored."""
    steady = Sampled(fake, prompts=60)
    fake.shares = {name: 0.2 / len(ONCE) for name in ONCE if name not in ("null_message", "empty_choices")}
    unsteady = Sampled(fake, prompts=60)
    assert unsteady.is_complete() and sum(fake.met.values()) >= 5
    assert unsteady.table == steady.table


@pytest.mark.parametrize("prompts", [1, 3, 60])
@pytest.mark.parametrize("fault", ["400", "context_length", "422"])
def test_a_source_that_refuses_everything_stops_also_with_a_handful_of_prompts(fake, prompts, fault):
    fake.shares = {fault: 1.0}
    with pytest.raises(SourceStopped, match=ERRORS[fault][2][:25]):
        Sampled(fake, prompts=prompts)
    assert fake.n_requests <= min(prompts, calls.REFUSED_ALIKE + 4), "and what was on its way then"


@pytest.mark.parametrize("fault", ["html", "500", "503", "closed", "hang", "hang_middle"])
def test_one_that_never_gives_an_answer_stops_too(fake, fault, monkeypatch):
    monkeypatch.setattr(calls, "FIRST_PATIENCE_S", 1.0)
    fake.shares = {fault: 1.0}
    with pytest.raises(SourceStopped):
        Sampled(fake, prompts=3, timeout_s=0.2)


@pytest.mark.parametrize("fault", ["empty_text", "null_text", "empty_choices"])
def test_one_that_answers_without_text_stops_too(fake, fault):
    """As a model that thinks longer than max_tokens allows."""
    fake.shares = {fault: 1.0}
    with pytest.raises(SourceStopped, match="came without text"):
        Sampled(fake, prompts=60)
    assert fake.n_requests <= 60


def test_every_fault_of_the_endpoint_is_met_somewhere_here():
    """And each table above names faults that there are."""
    named = {"fewer", "more", "empty_text", "blank_text", "null_text", "one_empty_text", "content_filter", "refusal", "length"}
    named |= {"filtered_text", "one_filtered_text", "failed_choices", "one_failed_choice", "one_aborted"}
    named |= {"parts", "thinking_parts", "reasoning_content", "reasoning"}
    assert named == set(CHOICES) and {"empty_choices", "null_message"} < set(BROKEN)
