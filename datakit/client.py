"""HTTP to model servers: requests in flight are bounded per URL, what is transient is retried, replicas share the load.

Errors fall in three kinds. Transient (429, 5xx, timeouts, broken bodies): asked again with backoff, then `RequestFailed`.
Permanent for this request (400, 413, 422): `RequestFailed(permanent=True)` at once. About the source itself (401, 403, 404, an
address that nothing answers at, a refusal of everything): `SourceStopped`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from datakit.errors import BadInput, SourceStopped

ATTEMPTS = 6
CONNECT_S = 10.0  # an address that swallows packets is away, however long an answer may take
LOCAL = ("127.0.0.1", "localhost", "::1")  # never through a proxy
FIRST_PATIENCE_S = 25.0  # for an address that has never answered
REFUSALS = 20  # so many requests refused before any succeeded: the source refuses everything
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
KEY_ERRORS = {401: "does not accept the key", 403: "forbids the request"}


class RequestFailed(Exception):
    """One request that got no usable answer; it becomes a row of `failures`."""

    def __init__(self, error: str, message: str, attempts: int, permanent: bool) -> None:
        super().__init__(message)
        self.error, self.message, self.attempts, self.permanent = error, message, attempts, permanent


@dataclass
class Replica:
    """One base URL of a model."""

    base_url: str
    client: Any
    free: asyncio.Semaphore
    outstanding: int = 0  # requests that were given to it, on their way or waiting for their turn
    in_flight: int = 0
    resting_until: float = 0.0


@asynccontextmanager
async def _counted(replica: Replica) -> AsyncIterator[None]:
    """One of the replica's places, while there is one."""
    async with replica.free:
        replica.in_flight += 1
        try:
            yield
        finally:
            replica.in_flight -= 1


def read_key(env: str | None, field: str) -> str | None:
    """The key in the environment variable; BadInput where the variable is named but not set."""
    if env is None:
        return None
    key = os.environ.get(env)
    if not key:
        raise BadInput(f"{field}: the environment variable {env} is not set; export {env}=... or set api_key_env: null")
    return key


class ChatClient:
    """Chat completions of one model over its replicas. Use as `async with`."""

    def __init__(
        self, base_urls: list[str], key: str | None, max_in_flight: int, timeout_s: float, patience_s: float = 900.0
    ) -> None:
        self.replicas = [
            Replica(url, _open(url, key, max_in_flight, timeout_s), asyncio.Semaphore(max_in_flight)) for url in base_urls
        ]
        self.capacity = max_in_flight * len(base_urls)  # requests that may be on their way at once
        self.patience_s = patience_s
        self.retries = 0
        self._last_contact = time.monotonic()
        self._answered = False
        self._refused = 0

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for replica in self.replicas:
            await replica.client.close()

    @property
    def answered(self) -> bool:
        """Whether any request was answered: before that a refusal may be the source's fault, not the request's."""
        return self._answered

    @property
    def in_flight(self) -> int:
        """Requests on their way now."""
        return sum(replica.in_flight for replica in self.replicas)

    async def complete(self, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """The answer's JSON and its latency in seconds. Raises RequestFailed or SourceStopped."""
        attempt = 0
        while True:
            started = time.monotonic()
            try:
                return await self._once(body)
            except RequestFailed as failure:
                # While nothing at all answers the source is away, and `_lost` keeps the time; else it is this request.
                attempt += failure.error != "unreachable" or self._last_contact > started
                if not failure.permanent and attempt >= ATTEMPTS:
                    self._exhausted(failure)
                if failure.permanent or attempt >= ATTEMPTS:
                    raise RequestFailed(failure.error, failure.message, attempt, failure.permanent) from None
            self.retries += 1
            await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)] * random.uniform(0.5, 1.0))

    async def _once(self, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
        import openai

        replica = self._least_loaded()
        replica.outstanding += 1
        try:
            async with _counted(replica):
                started = time.monotonic()
                try:
                    raw = await replica.client.chat.completions.with_raw_response.create(**body)
                    answer = _checked(json.loads(raw.content))
                    self._last_contact, self._answered = time.monotonic(), True
                    return answer, self._last_contact - started
                except openai.APIConnectionError as error:
                    kind = _kind(error)
                    if kind == "unreachable":
                        self._lost(replica, error)
                    raise RequestFailed(kind, f"{replica.base_url}: {_cause(error)}", 1, False) from error
                except openai.APIStatusError as error:
                    self._reached_status(replica, error, str(body.get("model")))
                    raise _of_status(replica, error) from error
                except (ValueError, TypeError, KeyError) as error:
                    raise RequestFailed("malformed", f"{replica.base_url}: {error!s:.200}", 1, False) from error
        finally:
            replica.outstanding -= 1

    def _least_loaded(self) -> Replica:
        """The replica with the least outstanding requests; one that just failed rests."""
        now = time.monotonic()
        return min(self.replicas, key=lambda replica: (replica.resting_until > now, replica.outstanding))

    def _reached_status(self, replica: Replica, error: Any, model: str) -> None:
        """An HTTP status: some say that the whole source cannot be used."""
        self._last_contact = time.monotonic()
        status: int = error.status_code
        if status >= 500:  # failing fast it would be the least loaded of all, and draw every request
            replica.resting_until = self._last_contact + 5.0
        if status in KEY_ERRORS:
            raise SourceStopped(
                f"{model} at {replica.base_url}: the server {KEY_ERRORS[status]} (HTTP {status}: {_said(error)}); "
                "check api_key_env and the variable that it names, then build again: what was received is stored"
            ) from None
        if status == 404:
            raise SourceStopped(
                f"{model} at {replica.base_url}: not found (HTTP 404: {_said(error)}); "
                "check the model's name and that the URL ends in /v1, then build again: what was received is stored"
            ) from None
        if status < 500 and status not in (408, 409, 425, 429):
            self._refused += 1
            if not self._answered and self._refused >= REFUSALS:
                raise SourceStopped(
                    f"{model} at {replica.base_url}: refused the first {self._refused} requests "
                    f"(HTTP {status}: {_said(error)}); check model, sampling and extra_body of this source"
                ) from None

    def _exhausted(self, failure: RequestFailed) -> None:
        """A source that has answered nothing, and fails request after request, is away (a proxy may say 503 for it)."""
        self._refused += 1
        if not self._answered and self._refused >= REFUSALS:
            raise SourceStopped(
                f"no answer at all, and {self._refused} requests failed {ATTEMPTS} times each ({failure.message}); "
                "mend the server, then build again: what was received is stored"
            ) from None

    def _lost(self, replica: Replica, error: Any) -> None:
        replica.resting_until = time.monotonic() + 5.0
        patience = self.patience_s if self._answered else min(FIRST_PATIENCE_S, self.patience_s)
        if time.monotonic() - self._last_contact > patience:
            raise SourceStopped(
                f"{replica.base_url}: cannot be reached for {patience:.0f} s ({_cause(error)}); "
                "start the server or correct base_urls, then build again: what was received is stored"
            ) from None


def probe_endpoint(base_urls: list[str], key: str | None, model: str) -> dict[str, str]:
    """What is wrong with each URL, by asking it for its models; empty where all is well. Ten seconds a URL at most."""
    import httpx2
    import openai

    troubles = {}
    for url in base_urls:
        try:
            http = httpx2.Client(timeout=CONNECT_S, trust_env=urlsplit(url).hostname not in LOCAL)
            with openai.OpenAI(base_url=url, api_key=key or "none", max_retries=0, http_client=http) as client:
                known = [entry.id for entry in client.models.list()]
        except openai.APIStatusError as error:
            if error.status_code != 404:  # a proxy may not list its models
                troubles[url] = f"HTTP {error.status_code}: {_said(error)}"
        except openai.APIConnectionError as error:
            troubles[url] = f"does not answer ({_cause(error)})"
        except (AttributeError, TypeError, ValueError):  # a page of HTML, and the SDK trips over it
            troubles[url] = "answers, but not as OpenAI's API does; does the URL end in /v1?"
        else:
            if known and model not in known:
                troubles[url] = f"does not serve '{model}'; it serves {', '.join(known[:5])}"
    return troubles


def _open(base_url: str, key: str | None, max_in_flight: int, timeout_s: float) -> Any:
    """The SDK's client without retries of its own, over aiohttp, with a connection for every request in flight."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAioHttpClient

    limits = httpx2.Limits(max_connections=max_in_flight, max_keepalive_connections=max_in_flight)
    timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S))
    http = DefaultAioHttpClient(timeout=timeout, limits=limits, trust_env=urlsplit(base_url).hostname not in LOCAL)
    return AsyncOpenAI(base_url=base_url, api_key=key or "none", timeout=timeout, max_retries=0, http_client=http)


def _checked(answer: Any) -> dict[str, Any]:
    """A chat completion has a list of choices, each an object; anything else is a malformed body."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError(f"not a chat completion: {answer!r:.150}")
    completion: dict[str, Any] = answer
    return completion


def _of_status(replica: Replica, error: Any) -> RequestFailed:
    status: int = error.status_code
    transient = status >= 500 or status in (408, 409, 425, 429)
    return RequestFailed(f"http_{status}", f"{replica.base_url}: HTTP {status}: {_said(error)}", 1, not transient)


def _said(error: Any) -> str:
    """What the server said, in short."""
    said = " ".join(str(getattr(error, "message", error)).split())[:300]
    return said.encode("utf-8", "replace").decode("utf-8")  # half a character cannot be stored


def _kind(error: BaseException) -> str:
    """timeout: no answer in timeout_s; dropped: the server took the request and hung up; unreachable: nothing is there.

    The SDK's aiohttp transport calls all three a connect timeout, or a connection error; their causes tell them apart.
    """
    import aiohttp
    import httpx2
    import openai

    if isinstance(error, openai.APITimeoutError) and not isinstance(error.__cause__, httpx2.ConnectTimeout):
        return "timeout"
    root = _root(error)
    refused = isinstance(
        root, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | TimeoutError | ConnectionRefusedError
    )
    hung_up = isinstance(root, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError | aiohttp.ClientOSError | OSError)
    return "dropped" if hung_up and not refused else "unreachable"


def _root(error: BaseException) -> BaseException:
    """The first cause that aiohttp or the system gives."""
    import aiohttp

    while error.__cause__ is not None and not isinstance(error, aiohttp.ClientError):
        error = error.__cause__
    return error


def _cause(error: BaseException) -> str:
    """What happened to a connection, in a word or two."""
    root = _root(error)
    return (str(root) or type(root).__name__)[:200]
