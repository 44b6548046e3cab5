"""What `datakit check` says of URLs: those that will answer pass, and the others name the one that would."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType

import pytest
from aiohttp import web

from datakit.client import OPEN, Access, at, probe_endpoint, read_access, server_url
from tests.helpers.command import closed_url
from tests.helpers.fake_endpoint import Fake, error, running

MODEL = "fake/one"
Way = Callable[[], web.Response]


class Odd(Fake):
    """One that answers some paths in its own way, and remembers who showed a key."""

    def __init__(self, ways: Mapping[str, Way] = MappingProxyType({}), **knobs: object) -> None:
        super().__init__(models=(MODEL,), **knobs)  # type: ignore[arg-type]
        self.ways = ways
        self.keys: list[str | None] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.keys.append(request.headers.get("Authorization"))
        way = self.ways.get(request.path)
        return await super().handle(request) if way is None else way()


def trouble(url: str, access: Access = OPEN) -> str | None:
    [probed] = probe_endpoint([url], access, MODEL)
    assert probed.url == url
    return probed.trouble


# written below the server's own URL: (its prefix, what is written, what is named)
MEANT = {
    "no /v1": ("/v1", "", "/v1"),
    "no /v1, a slash": ("/v1", "/", "/v1"),
    "the URL of a request": ("/v1", "/v1/chat/completions", "/v1"),
    "the URL of the list": ("/v1", "/v1/models/", "/v1"),
    "a request's, and no /v1": ("/v1", "/chat/completions", "/v1"),
    "a prefix without /v1": ("/team/v1", "/team", "/team/v1"),
    "a prefix that there is not": ("/v1", "/api/v1", "/v1"),
}


@pytest.mark.parametrize(("prefix", "written", "named"), MEANT.values(), ids=MEANT)
def test_a_url_at_which_there_is_nothing_names_the_one_that_answers(prefix, written, named):
    with running(Odd(prefix=prefix)) as fake:
        server = server_url(fake.url)
        said = trouble(server + written)
        assert said is not None and said.endswith(f". {server + named} answers: write that"), said
        assert trouble(server + named) is None, "what it says works"


WELL = {"as it is": "/v1", "a slash at the end": "/v1/", "an API without /v1": "/team", "one at its root": ""}


@pytest.mark.parametrize("written", WELL.values(), ids=WELL)
def test_a_url_that_answers_is_listed(written):
    with running(Odd(prefix=written.rstrip("/"))) as fake:
        [probed] = probe_endpoint([server_url(fake.url) + written], OPEN, MODEL)
        assert probed.trouble is None and probed.lists and fake.n_requests == 0, "nothing is asked of it"


@pytest.mark.parametrize("status", [404, 405, 501])
def test_one_that_lists_nothing_is_asked_by_a_request_without_messages(status):
    """As proxies are; what it says of such a request does not matter."""
    odd = {
        "/v1/models": partial(error, status, "no list"),
        "/v1/chat/completions": partial(error, 400, "messages: at least one"),
    }
    with running(Odd(odd)) as fake:
        [probed] = probe_endpoint([fake.url], OPEN, MODEL)
        assert probed.trouble is None and not probed.lists
    odd["/v1/chat/completions"] = partial(error, 401, "who are you?")
    with running(Odd(odd)) as fake:
        assert "wants a key, and was shown none (HTTP 401: who are you?)" in (trouble(fake.url) or "")
    odd["/v1/chat/completions"] = partial(error, 404, "no such model")
    with running(Odd(odd)) as fake:
        said = trouble(fake.url) or ""
        assert "not found (HTTP 404: no such model)" in said and "answers: write that" not in said


def test_a_page_in_the_place_of_the_list():
    """The user interface of a server, at its root."""
    with running(Odd({"/models": partial(web.Response, text="<html></html>", content_type="text/html")})) as fake:
        said = trouble(server_url(fake.url)) or ""
        assert "not as OpenAI's API does" in said and said.endswith(f"{fake.url} answers: write that")


def test_a_redirect_is_no_answer():
    """A build follows none."""
    elsewhere = {path: partial(web.Response, status=308, headers={"Location": f"https://h.example{path}"}) for path in PATHS}
    with running(Odd(elsewhere)) as fake:
        assert "redirects to https://h.example/v1 (HTTP 308)" in (trouble(fake.url) or "")


PATHS = ("/v1/models", "/v1/chat/completions")


def test_https_at_a_port_that_speaks_http(monkeypatch):
    """The key of an https URL does not go out over http to find that."""
    monkeypatch.setenv("MY_KEY", "sk-secret-0123456789")
    access = read_access("MY_KEY", {}, "sources.0")
    with running(Odd(key="sk-secret-0123456789")) as fake:
        said = trouble(fake.url.replace("http", "https", 1), access) or ""
        assert "does not answer" in said and said.endswith(f"{fake.url} answers: write that")
        assert set(fake.keys) == {None}
        assert trouble(fake.url, access) is None


@contextmanager
def answering(said: bytes) -> Iterator[str]:
    """The URL of what answers every connection so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize("said", [b"\x15\x03\x03\x00\x02\x02\x46", b"SSH-2.0-OpenSSH_9.6\r\n"], ids=["TLS", "SSH"])
def test_what_speaks_no_http_does_not_answer(said):
    with answering(said) as url:
        assert (trouble(url) or "").startswith("does not answer (")


def test_nobody_is_looked_for_elsewhere():
    """A wrong port: who listens at others is not asked."""
    said = trouble(closed_url()) or ""
    assert "does not answer" in said and "answers: write that" not in said


def test_a_served_reward_model_stands_beside_v1():
    """Its own path is asked: that there is no list, and no chat, does not matter."""
    with running(Fake()) as fake:
        server = server_url(fake.url)
        [probed] = probe_endpoint([server], OPEN, "org/rm", lambda url: at(server_url(url), "/classify"))
        assert probed.trouble is None
        assert trouble(server) is not None, "the control"
