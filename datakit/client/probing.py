"""Whether an endpoint answers before anything is asked of it, and by which URL it would."""

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

NO_LIST = (301, 302, 303, 307, 308, 404, 405, 501)  # to a GET of /models: a proxy may not list its models,
NO_KEY = (401, 403)  # also from who lists its models to everybody
NOT_THERE = (*NO_LIST, *NO_KEY)  # but whoever answers a request so will answer none
NO_ANSWER = (OSError, http.client.HTTPException, ValueError, LookupError, TypeError)  # URLError and HTTPError are OSErrors
TAILS = ("/chat/completions", "/completions", "/models", "/classify", "/pooling")
"""What belongs to a request's URL, and is pasted with it."""


@dataclass(frozen=True)
class Probed:
    """What a URL has said of one model."""

    url: str
    trouble: str | None
    """Why no request will be answered there; None where all is well."""
    lists: bool = False
    """Whether it lists the model; one that lists nothing may serve it all the same."""


def probe_endpoint(base_urls: Sequence[str], access: Access, model: str, beside: str | None = None) -> list[Probed]:
    """What each URL says, asked for its models, and then by a request without messages, which shows whether the key is right:
    lists are often open to everybody. Ten seconds a request at most. `beside`: the path beside /v1 where requests go, of
    reward models; by default they are a chat model's."""
    return [_probe(url, access, model, beside) for url in base_urls]


def list_models(base_url: str, access: Access) -> list[str]:
    """The models that a URL lists; none where it does not answer so: who then asks it for an answer hears why."""
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
    """The base URL of a server's list, and where its reward model is asked, whether what is written ends in /v1 or not."""
    server = server_url(url)
    return at(server, "/v1"), at(server, path)


def _refusal(url: str, access: Access, model: str, listed: bool) -> str | None:
    """Why requests are not answered at a URL, by one that has no messages; None where it is refused for that, or answered.
    `listed`: the model is served there, and only a refused key is news."""
    try:
        _open(url, access, {"model": model, "messages": [], "max_tokens": 1}).close()
    except urllib.error.HTTPError as error:
        return _trouble_of(error, access) if error.code in (NO_KEY if listed else NOT_THERE) else None
    except (OSError, http.client.HTTPException) as error:
        return None if listed else f"does not answer ({getattr(error, 'reason', error)})"
    return None


def _is_there(url: str, written: str, access: Access) -> bool:
    """Whether a URL in the place of the one that is written lists models. No key of an https URL goes out over http: whoever
    asks for one is there."""
    is_open = urlsplit(url).scheme == "http" != urlsplit(written).scheme
    try:
        _list(url, OPEN if is_open else access)
    except urllib.error.HTTPError as error:
        return is_open and error.code in (401, 403)
    except NO_ANSWER:
        return False
    return True


def _likely(url: str) -> Iterator[str]:
    """The URLs that somebody may have meant with one at which there is nothing.

    >>> list(_likely("http://h:1/api/chat/completions"))
    ['http://h:1/api', 'http://h:1/api/v1', 'http://h:1/v1']
    """
    parts = urlsplit(url)
    path, short = parts.path.rstrip("/"), urlsplit(_without_tail(url)).path
    paths = dict.fromkeys((short, short if short.endswith("/v1") else f"{short}/v1", "/v1"))
    yield from (parts._replace(path=one).geturl() for one in paths if one != path)


def _without_tail(url: str) -> str:
    """The base URL of a request's."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return parts._replace(path=next((path.removesuffix(tail) for tail in TAILS if path.endswith(tail)), path)).geturl()


def _other_scheme(url: str, error: Exception) -> Iterator[str]:
    """http for https and the other way round, where the error may come from that."""
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
        """None is followed: the requests of a build follow none either."""


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
