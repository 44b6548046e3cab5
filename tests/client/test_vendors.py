"""What real servers and proxies say, in their own words: overload, accounts, fields that they do not take, keys and URLs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest
from aiohttp import web

from datakit.client import Access, Answer, Client, RequestFailed, calls, probe_endpoint, read_access, replica
from datakit.client.said import read_error
from datakit.errors import BadInput, Origin, SourceStopped
from tests.helpers.asking import ask, number_of, with_client
from tests.helpers.fake_endpoint import ACCOUNT, Fake, error, fastapi_refusal, first, openai_refusal, running

KEY = "sk-very-secret-0123456789abcdef"


@pytest.fixture
def fake():
    with running(Fake()) as endpoint:
        yield endpoint


@pytest.fixture
def quick(monkeypatch):
    """What fails is asked again soon."""
    monkeypatch.setattr(calls, "backoff", lambda times: 0.01)
    monkeypatch.setattr(replica, "backoff", lambda times: 0.01)


async def ask_all(client: Client, numbers: range) -> list[Any]:
    return await asyncio.gather(*(ask(client, number) for number in numbers), return_exceptions=True)


async def answer_first(client: Client) -> list[Any]:
    """One that is answered, then many at once."""
    await ask(client, 0)
    return await ask_all(client, range(1, 31))


# ----------------------------------------------------------------------------------------------------------------- overload

OVERLOAD = ["408", "429", "503", "529", "overload_in_200", "overloaded_type_in_200"]


@pytest.mark.parametrize("fault", OVERLOAD)
def test_no_request_is_lost_to_overload(fake, quick, fault):
    """Also where it meets far more of them than it has attempts."""
    fake.fault = first(*[fault] * 50)
    ends = with_client(fake, lambda client: ask_all(client, range(8)))
    assert {type(end) for end in ends} == {Answer} and fake.met == {fault: 50}


@pytest.mark.parametrize("fault, retry_after, least_s", [*((one, "0.4", 0.4) for one in OVERLOAD), ("529", "date:2", 0.9)])
def test_retry_after_is_obeyed_in_all_of_them(fake, quick, fault, retry_after, least_s):
    fake.fault, fake.retry_after = first(fault), retry_after
    with_client(fake, ask)
    assert fake.arrivals[1] - fake.arrivals[0] >= least_s


def test_a_proxys_500_about_an_overload_is_one(fake, quick):
    fake.fault = lambda number, body: error(500, "upstream", "rate_limit_error") if number <= 20 else None
    assert isinstance(with_client(fake, ask), Answer)


def test_other_errors_do_cost_attempts(fake, quick):
    """The control."""
    fake.fault = lambda number, body: "500" if number_of(body) == 3 else None
    ends = with_client(fake, answer_first)
    assert Counter(type(end) for end in ends) == {Answer: 29, RequestFailed: 1}


def test_one_that_never_fits_is_given_up(fake, quick):
    """OpenAI's 429 for a request with more tokens than a minute allows."""
    fake.fault = lambda number, body: error(429, "Request too large for fake/one") if number_of(body) == 3 else None
    (failed,) = [end for end in with_client(fake, answer_first) if not isinstance(end, Answer)]
    assert isinstance(failed, RequestFailed) and failed.permanent


def test_one_that_only_ever_meets_overload_is_given_up_after_patience_s(fake, quick):
    fake.fault = lambda number, body: "429" if number_of(body) == 3 else None

    async def work(client: Client) -> Any:
        others = asyncio.create_task(ask_others(client))
        try:
            return await asyncio.gather(ask(client, 3), return_exceptions=True)
        finally:
            others.cancel()

    async def ask_others(client: Client) -> None:
        while True:
            await ask(client, 1)

    (failed,) = with_client(fake, work, patience_s=1.0)
    assert isinstance(failed, RequestFailed) and not failed.permanent and failed.attempts >= calls.OVERLOADS


# ------------------------------------------------------------------------------------------------------------------ accounts


@pytest.mark.parametrize("fault", ACCOUNT)
@pytest.mark.parametrize("answered", [0, 1], ids=["from the start", "in mid-run"])
def test_a_fault_of_the_account_stops_the_source_and_is_nobodys_failure(fake, quick, fault, answered):
    fake.fault = lambda number, body: fault if number > answered else None
    ends = with_client(fake, lambda client: ask_all(client, range(40)), max_in_flight=1 if answered else 8)
    stopped = [end for end in ends if not isinstance(end, Answer)]
    assert {type(end) for end in stopped} == {SourceStopped} and len(stopped) == 40 - answered
    assert "for this account" in str(stopped[0]) and "its credit, quota and key" in str(stopped[0])
    assert fake.n_requests <= 8 + answered and "build again: what was received is stored" in str(stopped[0])


@pytest.mark.parametrize("fault", ["401", "403", "key_limit", "insufficient_quota"])
@pytest.mark.parametrize("n_replicas", [1, 2])
def test_a_key_that_is_revoked_in_mid_run_stops_the_source(quick, fault, n_replicas):
    with ExitStack() as stack:
        fakes = [stack.enter_context(running(Fake(latency_s=0.01))) for _ in range(n_replicas)]

        async def work(client: Client) -> list[Any]:
            await ask_all(client, range(20))
            for fake in fakes:
                fake.shares = {fault: 1.0}
            began = time.monotonic()
            ends = await ask_all(client, range(20, 120))
            assert time.monotonic() - began < 20
            return ends

        ends = with_client(fakes, work)
    kinds = Counter(type(end) for end in ends)
    assert kinds[SourceStopped] > 60 and kinds[SourceStopped] + kinds[RequestFailed] == 100
    assert not any(end.permanent for end in ends if isinstance(end, RequestFailed))


def test_an_account_of_one_replica_costs_that_replica_only(quick):
    with running(Fake()) as good, running(Fake()) as poor:

        async def work(client: Client) -> list[Any]:
            await ask_all(client, range(10))
            poor.shares = {"payment_required": 1.0}
            return await ask_all(client, range(10, 40))

        assert {type(end) for end in with_client([good, poor], work)} == {Answer}


@pytest.mark.parametrize(
    "status, said",
    [
        (400, "This model's maximum context length is 4096 tokens, over the quota of this deployment"),
        (400, "The prompt was filtered: 'My credit balance is too low, what do I do?'"),
        (422, "Field required: billing hard limit"),
        (413, "Insufficient funds to hold so large a body"),
    ],
    ids=["length", "the words of a prompt", "422", "413"],
)
def test_what_only_sounds_like_an_account_is_a_fault_of_the_request(fake, status, said):
    question = "My credit balance is too low, what do I do?"
    fake.fault = lambda number, body: error(status, said) if body["messages"][-1]["content"] == question else None

    async def work(client: Client) -> tuple[Any, Any]:
        messages = [{"role": "user", "content": question}]
        body = {"model": "fake/one", "messages": messages}
        ends = await asyncio.gather(client.post("/chat/completions", body, lambda answer: None), return_exceptions=True)
        return ends[0], await ask(client, 1)

    failed, answered = with_client(fake, work)
    assert isinstance(failed, RequestFailed) and failed.permanent and isinstance(answered, Answer)


@pytest.mark.parametrize(
    "said",
    [
        "You exceeded your current quota, please check your plan and billing details. Please retry in 20.5s.",
        "Requests have exceeded the token rate limit of your current tier. Please retry after 2 seconds. See /quotaincrease",
        "Rate limit reached on tokens per minute (TPM): Limit 6000, Used 5900. Please try again in 1.2s.",
    ],
    ids=["Gemini", "Azure", "Groq"],
)
def test_a_rate_that_passes_is_an_overload(fake, quick, said):
    fake.fault = lambda number, body: error(429, said) if number <= 12 else None
    assert isinstance(with_client(fake, ask), Answer) and fake.n_requests == 13


def test_what_is_on_its_way_is_stored_before_the_source_stops(fake):
    """It is paid for."""
    fake.fault = lambda number, body: "payment_required" if number_of(body) == 3 else None
    fake.say = lambda body: "4"
    got: list[int] = []

    async def answer(client: Client, number: int) -> None:
        if number == 3:
            fake.latency_s = 0.0
        await ask(client, number)
        got.append(number)

    async def work(client: Client) -> None:
        fake.latency_s = 0.5
        await client.work_through(iter(range(50)), lambda number: answer(client, number))

    with pytest.raises(SourceStopped, match="for this account"):
        with_client(fake, work)
    assert len(got) == fake.n_answered >= 3


# ------------------------------------------------------------------------------------------------- fields that are not taken

REFUSALS = {
    "OpenAI": lambda name: openai_refusal(name),
    "OpenAI's value": lambda name: error(400, f"Unsupported value: '{name}' does not support 0.8 with this model."),
    "FastAPI": lambda name: fastapi_refusal(name),
    "Mistral": lambda name: web.json_response(
        {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs"}]}},
        status=422,
    ),
    "Gemini": lambda name: web.json_response(
        [{"error": {"code": 400, "message": f'Invalid JSON payload. Unknown name "{name}": Cannot find field.'}}], status=400
    ),
    "Groq": lambda name: error(400, f"property '{name}' is unsupported"),
    "an old one": lambda name: error(400, f"Unrecognized request argument supplied: {name}"),
}


@pytest.mark.parametrize("name", ["seed", "temperature", "max_tokens"])
@pytest.mark.parametrize("words", REFUSALS)
def test_a_field_that_is_not_taken_is_named_with_the_line_to_write(fake, name, words):
    fake.refuses, fake.refusal = (name,), REFUSALS[words]

    async def work(client: Client) -> None:
        body = {"model": "fake/one", "messages": [{"role": "user", "content": "What is 1 + 2?"}], name: 1}
        await client.post("/chat/completions", body, lambda answer: None)

    with pytest.raises(RequestFailed, match=rf"sources\.0: omit: \[{name}\]") as caught:
        with_client(fake, work, origin=Origin.of_section("sources.0"))
    assert caught.value.field == name
    assert with_client(fake, work, omit=[name]) is None, "left out, it is answered"


@pytest.mark.parametrize(
    "said",
    [
        "temperature must be non-negative, got -1.0.",
        "'max_tokens' is too large: 4000. This model's maximum context length is 4096 tokens.",
        "messages: unknown role, not supported",
    ],
)
def test_a_wrong_value_is_not_a_field_that_is_not_taken(said):
    sent = ["seed", "temperature", "max_tokens", "n"]
    assert read_error(f'{{"error": {{"message": "{said}"}}}}'.encode()).refused_field(sent, b"") is None


# --------------------------------------------------------------------------------------------------- where nothing is to be had


def test_where_nothing_listens_it_ends_within_seconds_with_url_and_field(fake):
    """A recipe's field: tests/test_build.py."""
    fake.go_down()
    began = time.monotonic()
    with pytest.raises(SourceStopped, match=rf"nothing listens at {fake.url} .*correct --model a=URL, then evaluate again: "):
        with_client(fake, ask, origin=Origin(url="--model a=URL", again="evaluate again"))
    assert time.monotonic() - began < 12, "three seconds, on an idle machine"


def test_but_not_where_another_replica_answers(fake, quick):
    with running(Fake()) as away:
        away.go_down()
        ends = with_client([away, fake], lambda client: ask_all(client, range(20)))
    assert {type(end) for end in ends} == {Answer}


def test_one_that_is_there_and_not_ready_has_more_time(fake, quick, monkeypatch):
    """The control: it listens."""
    monkeypatch.setattr(calls, "NOTHING_THERE_S", 0.0)
    fake.fault = first(*["503"] * 60)
    assert isinstance(with_client(fake, ask), Answer)


@pytest.mark.parametrize(
    "models, said",
    [
        (("fake/two", "fake-one"), r"it serves fake/two, fake-one; did you mean 'fake-one'\?"),
        (("something", "else"), r"it serves something, else, then build again"),
        (tuple(f"another/{at}" for at in range(9)), "it serves another/0, another/1, .* and 4 more"),
    ],
)
def test_a_404_names_the_models_that_there_are(models, said):
    with running(Fake(models=models)) as fake:
        ends = with_client(fake, lambda client: ask_all(client, range(40)))
        assert {type(end) for end in ends} == {SourceStopped} and fake.n_requests <= 8
        with pytest.raises(SourceStopped, match=said):
            with_client(fake, ask)


# ------------------------------------------------------------------------------------------------------- headers, keys, queries


def test_a_query_stays_at_the_end_also_of_probes(quick, monkeypatch):
    """As Azure has it."""
    monkeypatch.setattr(calls, "WATCH_EVERY_S", 0.05)
    with running(Fake(query="api-version=2024-10-21", prefix="/openai/deployments/one", latency_s=0.5)) as fake:
        url = fake.url.replace("/v1", "/openai/deployments/one?api-version=2024-10-21")
        access = Access({"api-key": KEY}, (KEY,))
        fake.headers = {"api-key": KEY}

        async def work(client: Client) -> None:
            await ask(client)
            await ask(client, 1)

        with_client_at(url, work, access)
        assert [one.trouble for one in probe_endpoint([url], access, "fake/one")] == [None]
        assert "rejected" not in str(fake.met) and fake.n_answered == 2
        assert all(path.endswith("?api-version=2024-10-21") for path in fake.asked_for) and len(fake.asked_for) > 3
        assert "/openai/deployments/one/chat/completions?api-version=2024-10-21" in fake.asked_for
        [probed] = probe_endpoint([url], Access(), "fake/one")
        assert "wants a key" in (probed.trouble or "")
        [probed] = probe_endpoint([url], Access({"api-key": "another"}), "fake/one")
        assert "does not accept the key" in (probed.trouble or "")


def with_client_at(url: str, work: Any, access: Access) -> None:
    async def main() -> None:
        async with Client("fake/one", [url], access, max_in_flight=4, timeout_s=20.0) as client:
            await work(client)

    asyncio.run(main())


def test_headers_have_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("TEAM", "abcd-team")
    access = read_access("MY_KEY", {"x-team": "t/${TEAM}", "x-title": "fine"}, "sources.0")
    assert access.headers == {"x-team": "t/abcd-team", "x-title": "fine", "Authorization": f"Bearer {KEY}"}
    assert access.hide_text(f"no {KEY} of t/abcd-team") == "no [the key] of t/[the key]"
    own = read_access("MY_KEY", {"authorization": "Basic ${TEAM}"}, "sources.0")
    assert own.headers == {"authorization": "Basic abcd-team"}, "a header of its own comes before api_key_env"


@pytest.mark.parametrize(
    "key_env, headers, said",
    [
        ("NOT_SET", {}, r"sources\.0\.api_key_env: the environment variable NOT_SET is not set"),
        (None, {"x": "${NOT_SET}"}, r"sources\.0\.headers\.x: the environment variable NOT_SET is not set; export NOT_SET="),
        (None, {"x": "${ODD}"}, r"sources\.0\.headers\.x: the environment variable ODD holds characters"),
    ],
)
def test_a_variable_that_is_not_set_is_named(monkeypatch, key_env, headers, said):
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("ODD", "a\nb")
    with pytest.raises(BadInput, match=said):
        read_access(key_env, headers, "sources.0")


@pytest.mark.parametrize("fault", ["400", "401", "402", "500", "html", "failed"])
def test_no_error_repeats_what_came_from_the_environment(fake, quick, fault, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    fake.headers = {"api-key": KEY}
    access = read_access(None, {"api-key": "${MY_KEY}"}, "sources.0")
    said = f"bad {KEY}"
    if fault.isdecimal():
        fake.fault = lambda number, body: error(int(fault), said)
    elif fault == "html":
        fake.fault = lambda number, body: web.Response(text=f"<p>{said}</p>")
    else:
        fake.fault = lambda number, body: web.json_response({"choices": [{"error": {"message": said}}]})
    with pytest.raises((RequestFailed, SourceStopped)) as caught:
        with_client(fake, ask, access=access, proven=True)
    assert KEY[:8] not in str(caught.value) and "[the key]" in str(caught.value)
