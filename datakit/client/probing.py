"""Checks whether an endpoint answers before it is used, and which URL would."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from datakit.client.access import OPEN, Access, at, server_url
from datakit.client.faults import of_status
from datakit.client.models import models_of, what_is_served
from datakit.client.replica import CONNECT_S, LOCAL

NO_LIST = (301, 302, 303, 307, 308, 404, 405, 501)  # to a GET of /models: a proxy, for example, may not list its models
NO_KEY = (401, 403)  # also from a server that lists its models to everybody
NOT_THERE = (*NO_LIST, *NO_KEY)  # to a chat request: no request will be answered
NO_ANSWER = (OSError, http.client.HTTPException, ValueError, LookupError, TypeError)  # URLError and HTTPError are OSErrors
TAILS = ("/chat/completions", "/completions", "/models", "/classify", "/pooling")
"""Paths of requests, which users paste together with the base URL."""


@dataclass(frozen=True)
class Probed:
    """The findings about one model at one URL."""

    url: str
    trouble: str | None
    """The reason why no request will be answered there; None if it is fine."""
    lists: bool = False
    """True if it lists the model; a server that lists no models may still serve it."""


def probe_endpoint(base_urls: Sequence[str], access: Access, model: str, beside: str | None = None) -> list[Probed]:
    """Ask each URL for its models, and then with a request without messages, which shows whether the key is right: lists are
    often open to everybody. Ten seconds per request at most. `beside`: the path beside /v1 of a reward model's requests; by
    default they are a chat model's."""
    return [_probe(url, access, model, beside) for url in base_urls]


def list_models(base_url: str, access: Access) -> list[str]:
    """Return the models that a URL lists; empty if it does not: a later request then tells the user why."""
    try:
        return _list(base_url, access)
    except NO_ANSWER:
        return []


def _probe(url: str, access: Access, model: str, beside: str | None) -> Probed:
    base, asked = (url, at(url, "/chat/completions")) if beside is None else _beside(url, beside)
    others: Iterable[str] = ()
    known: list[str] = []
    try:
        known = _list(base, access)
    except urllib.error.HTTPError as error:
        trouble = _trouble_of(error, access) if error.code not in NO_LIST else _refusal(asked, access, model, listed=False)
        others = _likely(url)
    except (OSError, http.client.HTTPException) as error:
        trouble, others = f"does not answer ({getattr(error, 'reason', error)})", _other_scheme(url, error)
    except (ValueError, LookupError, TypeError):  # a page of HTML
        trouble, others = "answers, but not as OpenAI's API does; does the URL end in /v1?", _likely(url)
    else:
        missing = f"does not serve '{model}'; {what_is_served(model, known)}" if known and model not in known else None
        trouble = missing or _refusal(asked, access, model, listed=True)
    if trouble is not None and (better := next((other for other in others if _is_there(other, url, access)), None)):
        trouble = f"{trouble}. {better} answers: write that"
    return Probed(url, access.hide_text(trouble) if trouble is not None else None, lists=model in known)


def _beside(url: str, path: str) -> tuple[str, str]:
    """Return the base URL of a server's list, and the URL of its reward model, whether or not `url` ends in /v1."""
    server = server_url(url)
    return at(server, "/v1"), at(server, path)


def _refusal(url: str, access: Access, model: str, listed: bool) -> str | None:
    """Send a request without messages. Return why the URL answers no requests; None if it answers or rejects only this one.
    `listed`: True if the model is served there, so that only a rejected key is news."""
    try:
        _open(url, access, {"model": model, "messages": [], "max_tokens": 1}).close()
    except urllib.error.HTTPError as error:
        return _trouble_of(error, access) if error.code in (NO_KEY if listed else NOT_THERE) else None
    except (OSError, http.client.HTTPException) as error:
        return None if listed else f"does not answer ({getattr(error, 'reason', error)})"
    return None


def _is_there(url: str, written: str, access: Access) -> bool:
    """True if `url`, tried instead of the one in the recipe, lists models.

    The key of an https URL is never sent over http; a server there that asks for a key counts as one."""
    is_open = urlsplit(url).scheme == "http" != urlsplit(written).scheme
    try:
        _list(url, OPEN if is_open else access)
    except urllib.error.HTTPError as error:
        return is_open and error.code in (401, 403)
    except NO_ANSWER:
        return False
    return True


def _likely(url: str) -> Iterator[str]:
    """Yield the URLs that may have been meant instead of one at which there is nothing.

    >>> list(_likely("http://h:1/api/chat/completions"))
    ['http://h:1/api', 'http://h:1/api/v1', 'http://h:1/v1']
    """
    parts = urlsplit(url)
    path, short = parts.path.rstrip("/"), urlsplit(_without_tail(url)).path
    paths = dict.fromkeys((short, short if short.endswith("/v1") else f"{short}/v1", "/v1"))
    yield from (parts._replace(path=one).geturl() for one in paths if one != path)


def _without_tail(url: str) -> str:
    """Return the base URL of a request's URL."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return parts._replace(path=next((path.removesuffix(tail) for tail in TAILS if path.endswith(tail)), path)).geturl()


def _other_scheme(url: str, error: Exception) -> Iterator[str]:
    """Yield the URL with http for https, or the reverse, if the error may come from that."""
    parts = urlsplit(url)
    reason = getattr(error, "reason", error)
    is_plain = isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLCertVerificationError)
    if parts.scheme == "https" and is_plain:
        swapped = parts._replace(scheme="http").geturl()
    elif parts.scheme == "http" and isinstance(reason, http.client.HTTPException | ConnectionResetError):
        swapped = parts._replace(scheme="https").geturl()
    else:
        return
    yield swapped
    yield from _likely(swapped)


# ----------------------------------------------------------------------------------------------------------------- requests


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none: the requests of a build do not follow redirects either."""


def _list(base_url: str, access: Access) -> list[str]:
    with _open(at(base_url, "/models"), access) as response:
        return models_of(response.read())


def _open(url: str, access: Access, body: dict[str, Any] | None = None) -> http.client.HTTPResponse:
    headers = {**access.headers, **({"Content-Type": "application/json"} if body is not None else {})}
    request = urllib.request.Request(url, headers=headers, data=json.dumps(body).encode() if body is not None else None)
    proxies = urllib.request.ProxyHandler({} if urlsplit(url).hostname in LOCAL else None)
    response: http.client.HTTPResponse = urllib.request.build_opener(proxies, _NoRedirects).open(request, timeout=CONNECT_S)
    return response


def _trouble_of(error: urllib.error.HTTPError, access: Access) -> str:
    headers = dict(error.headers.items())
    if "Location" in headers:
        headers["Location"] = _without_tail(urljoin(error.url or "", headers["Location"]))
    return of_status(error.code, access.hide(error.read()), headers, keyed=access.has_key).message
