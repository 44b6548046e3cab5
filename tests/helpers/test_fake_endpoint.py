"""The fake endpoint is held to reality: OpenAI's own client reads its answers and its errors."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.helpers.fake_endpoint import ERRORS, Fake, first, running

if TYPE_CHECKING:
    import openai

QUESTION = [{"role": "user", "content": "What is 3 + 4?"}]
ASK: dict[str, Any] = {"model": "fake/one", "messages": QUESTION, "seed": 7}


@pytest.fixture
def fake():
    with running(Fake()) as endpoint:
        yield endpoint


def official(fake: Fake, **settings) -> openai.OpenAI:
    import openai

    return openai.OpenAI(base_url=fake.url, api_key="sk-1", max_retries=0, timeout=5, **settings)


def post(fake: Fake, **changes) -> httpx2.Response:
    return httpx2.post(f"{fake.url}/chat/completions", json=ASK | changes, timeout=5)


def texts(fake: Fake, **changes) -> list[str]:
    return [choice["message"]["content"] for choice in post(fake, **changes).json()["choices"]]


def test_the_official_client_reads_an_answer(fake):
    with official(fake) as client:
        answer = client.chat.completions.create(**ASK, n=3, temperature=0.8, logprobs=False)
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        assert {choice.finish_reason for choice in answer.choices} == {"stop"}
        assert all(choice.message.content.endswith(("is 7.", "is 8.")) for choice in answer.choices)
        words = sum(len(choice.message.content.split()) for choice in answer.choices)
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, words)
        assert answer.model == "fake/one" and answer.object == "chat.completion"
        fake.models = ("fake/one", "fake/two")
        assert [model.id for model in client.models.list()] == ["fake/one", "fake/two"]


@pytest.mark.parametrize("fault", ERRORS)
def test_the_official_client_reads_an_error(fake, fault):
    status, kind, message = ERRORS[fault]
    fake.fault = first(fault)
    from openai import APIStatusError

    with official(fake) as client, pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(**ASK)
    assert caught.value.status_code == status and message in str(caught.value)
    assert caught.value.body == {"message": message, "type": kind, "param": None, "code": status}


def test_an_answer_is_a_function_of_messages_model_seed_and_choice(fake):
    five = texts(fake, n=5)
    assert five == texts(fake, n=5) and len(set(five)) > 1
    assert texts(fake, seed=9, n=3) == five[2:], "choice i of seed s is choice 0 of seed s + i"
    assert texts(fake, n=5, model="fake/two") != five
    assert texts(fake, n=5, messages=[{"role": "system", "content": "Be short."}, *QUESTION]) != five
    counts = fake.counts()
    assert counts["requests"] == counts["answered"] == 5 and counts["responses"] == 23
    assert counts["asked_twice"] == 2 and counts["responses_twice"] == 8, "the same five, then three of the same"


@pytest.mark.parametrize("copies, distinct", [(False, True), ("once", True), ("request", False), (True, False)])
def test_copies(fake, copies, distinct):
    fake.copies = copies
    one, two = texts(fake, n=4), texts(fake, n=4, seed=100)
    assert (len(set(one)) > 1) == (copies is False) and (len(set(two)) > 1) == distinct
    assert (one == two) == (copies is True)


@pytest.mark.parametrize("fault, error", [("reset", httpx2.NetworkError), ("closed", httpx2.RemoteProtocolError),
                                          ("reset_middle", httpx2.NetworkError), ("closed_middle", httpx2.RemoteProtocolError),
                                          ("hang", httpx2.ReadTimeout), ("hang_middle", httpx2.ReadTimeout)])  # fmt: skip
def test_a_connection_breaks_off(fake, fault, error):
    fake.fault = first(fault)
    with pytest.raises(error):
        httpx2.post(f"{fake.url}/chat/completions", json=ASK, timeout=1)
    assert fake.met == {fault: 1} and post(fake).status_code == 200


def test_it_goes_down_and_comes_back_on_its_port(fake):
    url, before = fake.url, texts(fake)
    fake.go_down()
    with pytest.raises(httpx2.ConnectError):
        post(fake)
    fake.come_back()
    assert fake.url == url and texts(fake) == before


def test_as_a_process_of_its_own_with_counters():
    command = [sys.executable, str(Path(__file__).with_name("fake_endpoint.py"))]
    knobs = [
        "--latency-ms",
        "100",
        "--n-chars",
        "800",
        "--capacity",
        "1",
        "--queue",
        "0",
        "--retry-after",
        "2",
        "--fault",
        "500=0",
    ]
    with subprocess.Popen([*command, *knobs], stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            began = time.monotonic()
            answer = httpx2.post(f"{url}/chat/completions", json=ASK | {"n": 5}, timeout=20).json()
            assert time.monotonic() - began >= 0.1
            assert all(780 <= len(choice["message"]["content"]) <= 800 for choice in answer["choices"])
            counts = httpx2.get(f"{url.removesuffix('/v1')}/counts").json()
            assert counts["requests"] == counts["answered"] == 1 and counts["responses"] == 5 and counts["faults"] == {}
        finally:
            process.kill()
