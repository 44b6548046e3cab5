"""The client against real HTTP servers that fail in every way: what is asked again, where, when, and what stops the source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from datakit.client import Access, Answer, Client, Drain, Drained, RequestFailed, calls, replica
from datakit.errors import SourceStopped
from datakit.progress import Progress
from tests.helpers.asking import ask, number_of, with_client
from tests.helpers.fake_endpoint import CONNECTION, Body, Fake, body_text, error, first, running

KEY = "sk-very-secret-0123456789abcdef"


@pytest.fixture
def fake():
    with running(Fake()) as endpoint:
        yield endpoint


@pytest.fixture
def quick(monkeypatch):
    """Pauses and the finding out of what hangs take a tenth of their time."""
    monkeypatch.setattr(calls, "backoff", lambda times: backoff(times) / 10)
    monkeypatch.setattr(replica, "backoff", lambda times: backoff(times) / 10)
    monkeypatch.setattr(calls, "WATCH_EVERY_S", calls.WATCH_EVERY_S / 10)
    monkeypatch.setattr(calls, "QUIET_S", calls.QUIET_S / 10)
    monkeypatch.setattr(replica, "PROBE_S", replica.PROBE_S / 10)


backoff = replica.backoff


def keyed() -> Access:
    """The access of a recipe that names a variable with the key."""
    return Access({"Authorization": f"Bearer {KEY}"}, (KEY,))


async def ask_all(client: Client, numbers: range) -> list[Any]:
    """Answers, and the errors of those that failed."""
    return await asyncio.gather(*(ask(client, number) for number in numbers), return_exceptions=True)


async def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)


def asks_for(number: int, fault: str) -> Callable[[int, Body], str | None]:
    """This question always meets the fault, others are answered."""
    return lambda _, body: fault if f"What is {number} +" in body["messages"][-1]["content"] else None


# -------------------------------------------------------------------------------------------------- one request, one server

TRANSIENT = [
    *("408", "429", "500", "502", "503", "504"),
    *("reset", "closed", "reset_middle", "closed_middle"),
    *("cut_off", "empty_body", "html", "not_an_object", "error_in_200", "no_choices", "null_choices", "null_choice"),
]
PERMANENT = {
    "400": "temperature must be",
    "context_length": "maximum context length",
    "413": "too large",
    "422": "max_tokens must",
}
UNUSABLE = {"401": "requires a key", "403": "forbids the request", "404": "not found"}


def test_requests_are_counted_when_they_are_answered(fake, quick):
    """A source that is dead has no requests a second."""

    async def work(client: Client) -> tuple[Progress, Progress]:
        with pytest.raises(RequestFailed):
            await ask(client)
        failing = client.progress(0, 1, 0, 0)
        fake.fault = first()
        await ask(client)
        return failing, client.progress(1, 1, 11, 5)

    fake.fault = lambda number, body: "500"
    failing, answering = with_client(fake, work)
    assert failing.requests == 0 < failing.retries and answering.requests == 1


@pytest.mark.parametrize("fault", TRANSIENT)
def test_what_is_transient_is_asked_again(fake, quick, fault):
    fake.fault = first(fault)
    answer = with_client(fake, ask)
    assert answer.content["choices"][0]["message"]["content"] and answer.latency_s > 0
    assert fake.met == {fault: 1} and fake.n_requests == 2


def test_what_takes_too_long_is_asked_again(fake, quick):
    fake.fault = first("hang")
    began = time.monotonic()
    with_client(fake, ask, timeout_s=0.5)
    assert fake.n_requests == 2 and time.monotonic() - began >= 0.5


def test_pauses_grow_and_have_jitter(fake):
    fake.fault = first("500", "500", "500")
    with_client(fake, ask)
    gaps = [later - earlier for earlier, later in zip(fake.arrivals, fake.arrivals[1:], strict=False)]
    assert [gap >= least for gap, least in zip(gaps, (0.25, 0.5, 1.0), strict=True)] == [True] * 3, gaps
    for times in range(1, 12):
        pauses = {backoff(times) for _ in range(100)}
        assert len(pauses) > 90 and max(pauses) <= min(30.0, 0.25 * 2**times) <= 2 * min(pauses)


def test_attempts_are_bounded_and_the_request_may_be_tried_another_day(fake, quick):
    fake.fault = asks_for(3, "500")
    answers = with_client(fake, lambda client: ask_all(client, range(10)))
    failed = answers.pop(3)
    assert isinstance(failed, RequestFailed) and not failed.permanent and failed.error == "http_500"
    assert 2 <= failed.attempts <= fake.met["500"] <= 12 and "EngineCore encountered an issue" in failed.message
    assert all(isinstance(answer, Answer) for answer in answers)


@pytest.mark.parametrize("fault", PERMANENT)
def test_what_is_refused_fails_for_good_at_once(fake, fault):
    fake.fault = asks_for(3, fault)
    answers = with_client(fake, lambda client: ask_all(client, range(6)))
    failed = answers.pop(3)
    assert isinstance(failed, RequestFailed) and failed.permanent and failed.attempts == 1
    assert PERMANENT[fault] in failed.message and fake.url in failed.message
    assert all(isinstance(answer, Answer) for answer in answers) and fake.met[fault] == 1


# ------------------------------------------------------------------------------------------------------ the source is unusable


@pytest.mark.parametrize("fault", UNUSABLE)
def test_a_source_that_cannot_be_used_stops_at_once(fake, fault):
    fake.shares, fake.latency_s = {fault: 1.0}, 0.05
    ends = with_client(fake, lambda client: ask_all(client, range(40)))
    assert {type(end) for end in ends} == {SourceStopped}
    assert UNUSABLE[fault] in str(ends[0]) and fake.url in str(ends[0]) and "build again" in str(ends[0])
    assert fake.n_requests <= 8, "only what was on its way"


def test_a_redirect_is_named_with_where_to(fake):
    moved = error(308, "moved")
    moved.headers["Location"] = "https://elsewhere.example/v1"
    fake.fault = lambda number, body: moved
    with pytest.raises(SourceStopped, match=r"redirects to https://elsewhere\.example/v1"):
        with_client(fake, ask)


def test_a_source_that_refuses_everything_stops(fake):
    fake.shares = {"400": 1.0}

    async def work(client: Client) -> None:
        while True:
            with suppress(RequestFailed):
                await ask(client)

    with pytest.raises(SourceStopped, match="temperature must be"):
        with_client(fake, work)


@pytest.mark.parametrize("faults", [[], ["500"] * 4], ids=["answered", "failed first"])
def test_quick_refusals_beside_slow_answers_do_not_stop_it(fake, quick, faults):
    """Four requests are worked on for a second; whatever comes meanwhile is refused at once, and then no more is sent."""
    fake.capacity, fake.queue, fake.full, fake.latency_s, fake.fault = 4, 0, "400", 1.0, first(*faults)

    async def work(client: Client) -> list[Any]:
        slow = asyncio.create_task(ask_all(client, range(4)))
        await until(lambda: fake.in_flight == 4)
        quick = asyncio.create_task(client.work_through(iter(range(4, 64)), lambda number: answer(client, number)))
        await until(lambda: fake.met["400"] >= calls.REFUSED_ALIKE)
        await asyncio.sleep(0.3)
        assert fake.met["400"] < calls.REFUSED_ALIKE + 16 and not slow.done()
        ends = await slow
        fake.capacity = None
        await quick
        return ends

    async def answer(client: Client, number: int) -> None:
        with suppress(RequestFailed):
            await ask(client, number)

    assert {type(end) for end in with_client(fake, work, max_in_flight=16)} == {Answer}
    assert fake.n_answered + fake.met["400"] == 64


def test_it_stops_when_what_was_on_its_way_is_not_answered_either(fake, quick):
    """Four requests meet nothing but silence, all others are refused."""
    fake.fault = lambda number, body: "hang" if number_of(body) < 4 else "400"
    ends = with_client(fake, lambda client: ask_all(client, range(60)), max_in_flight=8, timeout_s=0.3)
    assert {type(end) for end in ends} == {RequestFailed, SourceStopped}
    assert {end.error for end in ends if isinstance(end, RequestFailed)} == {"timeout", "http_400"}
    assert fake.met["400"] < calls.REFUSED_ALIKE + 8 and fake.met["hang"] >= 4 * calls.ATTEMPTS["slow"]


def test_what_is_refused_in_its_own_words_is_not_the_source(fake):
    """The first hundred prompts are too long, each in its own way."""
    fake.fault = lambda number, body: error(400, f"you requested {number_of(body)} tokens") if number_of(body) < 100 else None
    ends = with_client(fake, lambda client: ask_all(client, range(150)))
    assert [type(end) for end in ends] == [RequestFailed] * 100 + [Answer] * 50


def test_but_not_without_end(fake, monkeypatch):
    monkeypatch.setattr(calls, "REFUSED", 50)
    fake.fault = lambda number, body: error(400, f"request {number} has no model")
    ends = with_client(fake, lambda client: ask_all(client, range(150)))
    assert isinstance(ends[-1], SourceStopped) and 50 <= fake.n_requests < 58


def test_one_that_has_answered_may_forbid_a_single_request(fake, quick):
    """A firewall's 403 on one prompt: a failure row, not the end of the source."""
    fake.fault = lambda number, body: error(403, "blocked") if "What is 7 " in body["messages"][0]["content"] else None

    async def work(client: Client) -> list[Any]:
        return [await ask(client, 1), *await ask_all(client, range(5, 10))]

    ends = with_client(fake, work, max_in_flight=2)
    assert [type(end) for end in ends].count(Answer) == 5
    (failed,) = [end for end in ends if isinstance(end, RequestFailed)]
    assert failed.error == "http_403" and not failed.permanent


def test_netrc_is_not_read(tmp_path, monkeypatch):
    """Keys come from named environment variables only."""
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(replica, "LOCAL", ())
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running(Fake(key=KEY)) as fake:
        assert isinstance(with_client(fake, ask, access=keyed()), Answer)
        with pytest.raises(SourceStopped, match=r"requires a key, and none was sent .*api_key_env"):
            with_client(fake, ask)


def test_one_that_never_answered_is_given_up_soon(fake, quick, monkeypatch):
    monkeypatch.setattr(calls, "FIRST_PATIENCE_S", 1.0)
    fake.go_down()
    with pytest.raises(SourceStopped, match=f"nothing listens at {fake.url} .*start the server, or correct base_urls"):
        with_client(fake, ask)


def test_one_that_has_answered_is_waited_for_and_taken_up_again(fake, quick, monkeypatch):
    monkeypatch.setattr(calls, "FIRST_PATIENCE_S", 0.1)

    async def work(client: Client) -> list[Any]:
        await ask(client)
        fake.go_down()
        asked = asyncio.create_task(ask_all(client, range(1, 20)))
        await until(lambda: client.replicas[0].state == "down")
        await asyncio.sleep(1.0)
        fake.come_back()
        return await asked

    assert all(isinstance(answer, Answer) for answer in with_client(fake, work))


@pytest.mark.parametrize("proven", [True, False])
def test_but_not_for_longer_than_patience_s(fake, quick, proven):
    """`proven`: it has answered in an earlier build."""

    async def work(client: Client) -> None:
        if not proven:
            await ask(client)
        fake.go_down()
        await ask(client, 1)

    began = time.monotonic()
    with pytest.raises(SourceStopped, match="no answer for 1 s"):
        with_client(fake, work, patience_s=1.0, proven=proven)
    assert time.monotonic() - began >= 1.0


def test_nothing_but_503_is_a_server_that_is_away(fake, monkeypatch):
    monkeypatch.setattr(replica, "LONGEST_PAUSE_S", 0.3)
    monkeypatch.setattr(calls, "FIRST_PATIENCE_S", 1.0)
    fake.shares = {"503": 1.0}
    ends = with_client(fake, lambda client: ask_all(client, range(40)))
    assert any(isinstance(end, SourceStopped) and "no healthy upstream" in str(end) for end in ends)


def test_a_server_of_ours_that_died_for_good_is_not_waited_for(fake, quick):
    fake.go_down()
    with pytest.raises(SourceStopped, match="the server ended with status 1"):
        with_client(fake, ask, proven=True, trouble=lambda: "the server ended with status 1")


# ----------------------------------------------------------------------------------------------------------------- replicas


@pytest.fixture
def pair():
    with ExitStack() as stack:
        yield [stack.enter_context(running(Fake(latency_s=0.02))) for _ in range(2)]


def test_what_failed_at_one_is_asked_at_another_first_and_without_a_pause(pair, monkeypatch):
    monkeypatch.setattr(calls, "backoff", lambda times: 3600.0)
    bad, good = pair
    bad.shares = {"500": 1.0}

    async def work(client: Client) -> None:
        for number in range(4):
            await ask(client, number)
            assert bad.met["500"] <= number + 1, "never twice the same"

    with_client(pair, work)
    assert bad.met["500"] >= 1 and good.n_answered == 4


def test_equal_ones_share_the_work(pair):
    for fake in pair:
        fake.latency_s = 1.0
    with_client(pair, lambda client: ask_all(client, range(6)))
    assert [fake.n_requests for fake in pair] == [3, 3]


def test_the_one_with_the_least_outstanding_work_is_asked(pair):
    fast, slow = pair
    fast.latency_s, slow.latency_s = 0.05, 0.5
    with_client(pair, lambda client: ask_all(client, range(120)), max_in_flight=4)
    assert fast.n_answered + slow.n_answered == 120 and fast.n_answered >= 5 * slow.n_answered


def test_a_slow_one_does_not_hold_the_others(pair):
    fast, slow = pair
    slow.latency_s = 600

    async def work(client: Client) -> None:
        asked = asyncio.create_task(ask_all(client, range(104)))
        await until(lambda: fast.n_answered == 100)
        assert slow.in_flight == 4 and slow.n_answered == 0, "a hundred were answered while the slow one worked on four"
        asked.cancel()

    with_client(pair, work, max_in_flight=4, timeout_s=600)


def test_a_dead_one_is_left_out_and_taken_back(pair, quick):
    dying = pair[1]

    async def work(client: Client) -> None:
        assert all(isinstance(end, Answer) for end in await ask_all(client, range(20)))
        asked = asyncio.create_task(ask_all(client, range(20, 120)))
        await asyncio.sleep(0.03)
        dying.go_down()
        assert all(isinstance(end, Answer) for end in await asked)
        assert [one.state for one in client.replicas] == ["up", "down"]
        dying.come_back()
        await until(lambda: client.replicas[1].state == "up")
        before = dying.n_answered
        assert all(isinstance(end, Answer) for end in await ask_all(client, range(120, 160)))
        assert dying.n_answered > before

    with_client(pair, work)


@pytest.mark.parametrize("health, hang", [("hang", "hang"), ("503", "hang"), ("hang", "hang_middle"), ("503", "hang_middle")])
def test_one_that_hangs_is_found_out_and_what_hung_there_is_asked_elsewhere(pair, quick, health, hang):
    """`quick` makes seconds of tens of seconds; a request itself may take ten minutes."""
    hanging = pair[1]

    async def work(client: Client) -> None:
        assert all(isinstance(end, Answer) for end in await ask_all(client, range(20)))
        hanging.shares, hanging.health = {hang: 1.0}, health
        assert all(isinstance(end, Answer) for end in await ask_all(client, range(20, 60)))
        assert [one.state for one in client.replicas] == ["up", "down"]
        hanging.shares, hanging.health = {}, "up"
        await until(lambda: client.replicas[1].state == "up")

    with_client(pair, work, timeout_s=600)
    assert hanging.met[hang] > 0


def test_a_long_answer_is_no_hang(fake, quick):
    fake.latency_s = 1.5
    with_client(fake, ask)
    assert fake.n_requests == 1 and fake.probes["/health"] > 0, "it was asked how it is, and waited for"


def test_a_server_without_health_is_taken_back_by_its_models(pair, quick):
    pair[1].health, pair[1].metrics = "404", False

    async def work(client: Client) -> None:
        await ask_all(client, range(20))
        pair[1].go_down()
        await ask_all(client, range(20, 60))
        pair[1].come_back()
        await until(lambda: client.replicas[1].state == "up")

    with_client(pair, work)
    assert pair[1].probes["/v1/models"] > 0


def test_a_key_that_one_replica_does_not_accept_costs_that_replica_only(pair, quick):
    async def work(client: Client) -> list[Any]:
        await ask_all(client, range(10))
        pair[1].shares = {"401": 1.0}
        return await ask_all(client, range(10, 40))

    assert all(isinstance(end, Answer) for end in with_client(pair, work))


# --------------------------------------------------------------------------------------------------------------------- flow


@pytest.mark.parametrize("cap", [1, 3, 16])
def test_never_over_the_cap_at_any_url(pair, cap):
    with_client(pair, lambda client: ask_all(client, range(100)), max_in_flight=cap)
    most = [fake.most_in_flight for fake in pair]
    assert max(most) == cap, "the places are used"
    assert min(most) > cap // 2, "at both URLs"


def test_it_starts_small_and_grows_to_the_cap_where_that_pays(fake):
    fake.latency_s = 0.3

    async def work(client: Client) -> None:
        asked = asyncio.create_task(ask_all(client, range(600)))
        await asyncio.sleep(0.2)
        assert client.replicas[0].in_flight <= 32
        await until(lambda: client.replicas[0].window.size == 100)
        await asked

    with_client(fake, work, max_in_flight=100)
    assert 64 < fake.most_in_flight <= 100


def test_it_settles_about_what_the_server_has_places_for(fake):
    """429 over 20: everything is answered, and few are refused once that is found out."""
    fake.latency_s, fake.capacity, fake.queue = 0.1, 20, 0

    async def work(client: Client) -> None:
        assert all(isinstance(end, Answer) for end in await ask_all(client, range(200)))
        assert client.replicas[0].window.size >= 10, "one burst of refusals is one overload"
        refused, fake.most_in_flight = fake.met["429"], 0
        assert all(isinstance(end, Answer) for end in await ask_all(client, range(200, 500)))
        assert fake.met["429"] - refused <= 60

    with_client(fake, work, max_in_flight=512)
    assert fake.most_in_flight <= 64


def test_a_growing_queue_of_the_server_makes_the_window_smaller(fake, quick):
    """Others ask the same server too, and leave it a fifth of its places."""
    fake.latency_s, fake.capacity = 0.5, 40

    async def work(client: Client) -> None:
        window = client.replicas[0].window
        asked = asyncio.create_task(ask_all(client, range(2000)))
        await until(lambda: fake.n_answered >= 100)
        before, fake.capacity = window.size, 8
        await until(lambda: window.size < before)
        assert client.replicas[0].waiting is not None
        asked.cancel()

    with_client(fake, work, max_in_flight=64)


def test_a_queue_that_is_long_from_the_start_too(fake, quick):
    fake.latency_s, fake.capacity = 0.5, 4

    async def work(client: Client) -> None:
        asked = asyncio.create_task(ask_all(client, range(2000)))
        await until(lambda: client.replicas[0].window.size < 32)
        asked.cancel()

    with_client(fake, work, max_in_flight=64)


@pytest.mark.parametrize(
    "status, retry_after, least_s", [("429", "1", 1.0), ("429", "0.5", 0.5), ("429", "date:2", 1.9), ("503", "0.5", 0.5)]
)
def test_retry_after_is_obeyed(fake, status, retry_after, least_s):
    """By every request to that server, not only by the one that was told."""
    fake.fault, fake.retry_after = first(status), retry_after

    async def work(client: Client) -> list[Any]:
        asked = asyncio.create_task(ask(client))
        await until(lambda: client.replicas[0].state == "resting")
        return [await asked, *await ask_all(client, range(1, 5))]

    assert all(isinstance(end, Answer) for end in with_client(fake, work))
    assert fake.arrivals[1] - fake.arrivals[0] >= least_s


def test_while_one_rests_the_others_work(pair):
    pair[0].fault, pair[0].retry_after = first("429"), "30"

    async def work(client: Client) -> None:
        assert {type(end) for end in await ask_all(client, range(50))} == {Answer}
        assert client.replicas[0].state == "resting", "still"

    with_client(pair, work, max_in_flight=2)
    assert pair[1].n_answered >= 40


def test_drained_it_sends_nothing_more_and_takes_what_is_on_its_way(fake):
    fake.latency_s = 0.5

    async def work(client: Client) -> list[Any]:
        asked = asyncio.create_task(ask_all(client, range(50)))
        await until(lambda: fake.in_flight == 4)
        client.drain()
        return await asked

    ends = with_client(fake, work, max_in_flight=4)
    assert [type(end) for end in ends].count(Answer) == 4 == fake.n_requests
    assert {type(end) for end in ends} == {Answer, Drained}


def test_after_work_that_failed_nothing_goes_out(fake):
    """Its place was free, and others were waiting for one."""
    answered: list[int] = []

    async def work(client: Client) -> None:
        async def answer(number: int) -> None:
            await ask(client, number)
            if number >= 20:
                answered.append(client.requests)
                raise OSError("No space left on device")

        await client.work_through(iter(range(400)), answer)

    with pytest.raises(OSError, match="No space"):
        with_client(fake, work, max_in_flight=4)
    assert fake.n_requests <= answered[0] + 4, "but what was on its way when it failed first"


def test_drained_a_request_in_its_pause_ends_at_once(fake):
    fake.fault, fake.retry_after = first("429"), "60"

    async def work(client: Client) -> None:
        asked = asyncio.create_task(ask(client))
        await until(lambda: client.replicas[0].state == "resting")
        client.drain()
        with pytest.raises(Drained):
            await asked
        assert client.replicas[0].state == "resting", "still"

    with_client(fake, work)


def test_a_signal_before_the_work_begins_is_not_forgotten(fake):
    said: list[str] = []
    drain = Drain(grace_s=1.0, say=said.append)
    drain.soon()

    async def work(client: Client) -> list[Any]:
        async with drain:
            drain.clients.append(client)
            await asyncio.sleep(0)
            return await ask_all(client, range(5))

    assert {type(end) for end in with_client(fake, work)} == {Drained} and fake.n_requests == 0


# ------------------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("padding", [0, 262, 276])
@pytest.mark.parametrize("status", [400, 401, 500])
def test_no_error_repeats_the_key_nor_a_part_of_it(fake, quick, status, padding):
    fake.key = KEY
    fake.fault = lambda number, body: error(status, "x" * padding + f" bad key: {KEY}")
    with pytest.raises((RequestFailed, SourceStopped)) as caught:
        with_client(fake, ask, access=keyed())
    assert KEY[:8] not in str(caught.value) and "x" * padding in str(caught.value)


@pytest.mark.parametrize("padding", [0, 110])
def test_nor_does_that_of_a_broken_body(fake, quick, padding):
    fake.fault = lambda number, body: body_text(f'{{"x": "{"x" * padding}Bearer {KEY}"}}')
    with pytest.raises(RequestFailed) as caught:
        with_client(fake, ask, access=keyed(), proven=True)
    assert KEY[:8] not in str(caught.value)


def test_every_kind_of_broken_connection_is_in_a_table_here():
    assert set(CONNECTION) - {"hang", "hang_middle"} <= set(TRANSIENT)
