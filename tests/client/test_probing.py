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

from datakit.client import OPEN, Access, probe_endpoint, read_access, server_url
from tests.helpers.command import closed_url
from tests.helpers.fake_endpoint import Fake, error, running

MODEL, KEY = "fake/one", "sk-secret-0123456789"
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
        assert probed.trouble is None and probed.lists and fake.n_answered == 0, "nothing is answered, and paid for"


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
    monkeypatch.setenv("MY_KEY", KEY)
    access = read_access("MY_KEY", {}, "sources.0")
    with running(Odd(key=KEY)) as fake:
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


BESIDE, WRONG = "/classify", "sk-other"


def opened(*models: str, key: str | None = None) -> Fake:
    """A server whose list everybody may read."""
    return Fake(models=models, key=key, open_list=True)


def telling(status: int) -> Odd:
    """One that tells every request the same."""
    return Odd({"/v1/chat/completions": partial(error, status, "words")})


# (the server, the key that is shown, the path that is written, the path beside /v1 that is asked, what is said)
KEYS: dict[str, tuple[Fake, str | None, str, str | None, str | None]] = {
    "a wrong key": (opened(MODEL, key=KEY), WRONG, "/v1", None, "does not accept the key (HTTP 401"),
    "no key": (opened(MODEL, key=KEY), None, "/v1", None, "wants a key, and was shown none (HTTP 401"),
    "forbidden": (telling(403), KEY, "/v1", None, "forbids the request (HTTP 403: words)"),
    "an empty list": (opened(key=KEY), WRONG, "/v1", None, "does not accept the key (HTTP 401"),
    "a reward model": (opened(MODEL, key=KEY), WRONG, "/v1", BESIDE, "does not accept the key (HTTP 401"),
    "one written without /v1": (opened(MODEL, key=KEY), WRONG, "", BESIDE, "does not accept the key (HTTP 401"),
    "another model, without /v1": (opened("x"), None, "", BESIDE, f"does not serve '{MODEL}'; it serves x"),
    "the right key": (opened(MODEL, key=KEY), KEY, "/v1", None, None),
    "the right key, a reward model": (opened(MODEL, key=KEY), KEY, "", BESIDE, None),
    "no key is needed": (opened(MODEL), None, "/v1", None, None),
    "messages are missing": (telling(422), KEY, "/v1", None, None),
    "too many requests": (telling(429), KEY, "/v1", None, None),
    "it breaks": (telling(500), KEY, "/v1", None, None),
}


@pytest.mark.parametrize(("server", "key", "written", "beside", "said"), KEYS.values(), ids=KEYS)
def test_a_key_is_tried_where_the_list_is_open_to_everybody(server, key, written, beside, said):
    """As vendors' and proxies' are. The request has no messages; what else is said of it does not matter."""
    access = OPEN if key is None else Access({"Authorization": f"Bearer {key}"}, (key,))
    with running(server) as fake:
        [probed] = probe_endpoint([server_url(fake.url) + written], access, MODEL, beside)
    if said is None:
        assert probed.trouble is None and probed.lists
    else:
        assert (probed.trouble or "").startswith(said), probed


def test_a_served_reward_model_stands_beside_v1():
    """Its own path is asked: that there is no list, and no chat, does not matter."""
    with running(Fake()) as fake:
        server = server_url(fake.url)
        [probed] = probe_endpoint([server], OPEN, "org/rm", BESIDE)
        assert probed.trouble is None
        assert trouble(server) is not None, "the control"
