"""What can go wrong with one request, and what it means for the request, the URL and the source.

Fault           one attempt that got no usable answer; the client decides whether the request is asked again
RequestFailed   the request got none in the end: it becomes a row of `failures`
Drained         the build is being stopped: the request was not asked (again)
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from typing import Literal

Meaning = Literal["away", "broken", "overload", "slow", "refused", "unusable"]
"""away: nothing is there. broken: it failed, another try may not. overload: it has too much. slow: no answer in timeout_s.
refused: this request will never be answered. unusable: no request of this source will be."""

OVERLOADS = (429, 503)
UNUSABLE = {
    401: "does not accept the key (HTTP 401: {said}); check api_key_env and the variable that it names",
    403: "forbids the request (HTTP 403: {said}); check api_key_env and the variable that it names",
    404: "not found (HTTP 404: {said}); check the model's name and that the URL ends in /v1",
}
_TRIES_AGAIN = (408, 409, 425)
_MOST_SAID = 300


class RequestFailed(Exception):
    """One request that got no usable answer; it becomes a row of `failures`."""

    def __init__(self, error: str, message: str, attempts: int, permanent: bool) -> None:
        super().__init__(message)
        self.error, self.message, self.attempts, self.permanent = error, message, attempts, permanent


class Drained(Exception):
    """The client takes no more requests: the build is being stopped."""


class Fault(Exception):
    """One attempt that got no usable answer. `error` is the word that stands in `failures`, `message` says what was seen."""

    def __init__(self, meaning: Meaning, error: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.meaning, self.error, self.message, self.retry_after_s = meaning, error, message, retry_after_s
        self.sent_at = 0.0


def of_status(status: int, body: bytes, headers: Mapping[str, str]) -> Fault:
    """The Fault of an HTTP status other than 200."""
    said = _said(body)
    message = f"HTTP {status}: {said}"
    if status in UNUSABLE:
        return Fault("unusable", f"http_{status}", UNUSABLE[status].format(said=said))
    if 300 <= status < 400:
        return Fault(
            "unusable", f"http_{status}", f"redirects to {headers.get('Location')} (HTTP {status}); give that as its URL"
        )
    if status in OVERLOADS:
        return Fault("overload", f"http_{status}", message, retry_after(headers.get("Retry-After"), time.time()))
    meaning: Meaning = "broken" if status >= 500 or status in _TRIES_AGAIN else "refused"
    return Fault(meaning, f"http_{status}", message)


def of_exception(error: BaseException) -> Fault:
    """The Fault of what aiohttp raised: nothing there, no answer in time, or hung up in the middle."""
    import aiohttp

    cause = str(error) or type(error).__name__
    if isinstance(error, aiohttp.InvalidURL):
        return Fault("unusable", "bad_url", f"is no URL that can be asked ({cause}); correct base_urls")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Fault("away", "unreachable", cause)
    if isinstance(error, TimeoutError):
        return Fault("slow", "timeout", "no answer in time")
    return Fault("broken", "dropped", f"hung up ({cause})")


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After header, which gives seconds or a date (RFC 9110, 10.2.3); None where it gives neither.

    >>> retry_after("1.5", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 10.0), retry_after("soon", 0.0)
    (1.5, 50.0, None)
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None


def _said(body: bytes) -> str:
    """What a server said of an error, in short: OpenAI's error.message where there is one, else the text."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(key):
            value = value[key]
    shown = value if isinstance(value, str) else text
    return " ".join(shown.split())[:_MOST_SAID].encode("utf-8", "replace").decode("utf-8")  # half a character cannot be stored
