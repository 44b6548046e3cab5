"""What can go wrong with one request, and what it means for the request, the URL and the source.

Fault           one attempt without a usable answer; the client decides whether to retry the request
RequestFailed   a request without a usable answer in the end: it becomes a row of `failures`
Drained         the build is being stopped: the request was not sent (again)
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from typing import Any, Literal

from datakit.client.content import is_unfinished
from datakit.client.said import OVERLOADS, Said, read_error, said_in

Meaning = Literal["away", "broken", "overload", "slow", "forbidden", "refused", "unusable", "account"]
"""away: nothing is there. broken: it failed, another try may succeed. overload: it has too much to do. slow: no answer within
timeout_s. forbidden: this request was forbidden by a server that has answered others. refused: this request will never be
answered. unusable: no request of this source will be. account: no request with this key, until it is paid for or renewed."""

UNUSABLE = {
    401: "does not accept the key (HTTP 401: {said}); check api_key_env and the variable that it names",
    403: "forbids the request (HTTP 403: {said}); check api_key_env and the variable that it names",
    404: "answers that this is not found (HTTP 404: {said}); check the model's name and that the URL ends in /v1",
}
KEYLESS = {
    401: "requires a key, and none was sent (HTTP 401: {said}); name the variable that holds it as api_key_env",
    403: "forbids the request, and no key was sent (HTTP 403: {said}); if it requires one, name its variable as api_key_env",
}
_TRIES_AGAIN = (409, 425)
_NEVER_THE_ACCOUNT = (404, 413, 422)
_NAMES_FIELDS = (400, 422)
ACCOUNT = (
    "does not answer for this account ({seen}); the requests are not at fault: check its credit, quota and key "
    "(api_key_env, headers)"
)


class RequestFailed(Exception):
    """A request that got no usable answer; it becomes a row of `failures`."""

    def __init__(self, error: str, message: str, attempts: int, permanent: bool, field: str | None = None) -> None:
        """`field`: the request field that the server rejects, if it named one."""
        super().__init__(message)
        self.error, self.message, self.attempts, self.permanent, self.field = error, message, attempts, permanent, field


class Drained(Exception):
    """The client takes no more requests: the build is being stopped."""


class Fault(Exception):
    """An attempt that got no usable answer. `error` is the word for `failures`; `message` says what was seen."""

    def __init__(self, meaning: Meaning, error: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.meaning, self.error, self.message, self.retry_after_s = meaning, error, message, retry_after_s
        self.said: Said | None = None
        self.sent_at = 0.0


def of_status(status: int, body: bytes, headers: Mapping[str, str], asked: bytes = b"", keyed: bool = True) -> Fault:
    """Return the Fault of an HTTP status other than 200, to a request with the body `asked`. `keyed`: True if it sent a key."""
    if 300 <= status < 400:
        return Fault(
            "unusable", f"http_{status}", f"redirects to {headers.get('Location')} (HTTP {status}); give that as its URL"
        )
    return _of_error(status, read_error(body), headers, asked, keyed)


def of_answer(answer: Any, headers: Mapping[str, str], asked: bytes) -> Fault | None:
    """Return the Fault of a 200 that is an error nevertheless, or None if there is something to read.

    That is an error object instead of the answer or beside it, or choices that all broke off."""
    if not isinstance(answer, dict):
        return None
    choices = answer.get("choices")
    choices = choices if isinstance(choices, list) else []
    if answer.get("error") or answer.get("object") == "error":
        said = said_in(answer.get("error") or answer)
    elif all(isinstance(choice, dict) and is_unfinished(choice) for choice in choices) and choices:
        said = said_in(choices[0].get("error"), f"broke the answer off (finish_reason {choices[0].get('finish_reason')})")
    else:
        return None
    fault = _of_error(said.status or 500, said, headers, asked)
    if choices and fault.meaning not in ("overload", "account"):
        fault.meaning = "broken"  # it was accepted, not refused
    if fault.meaning != "account":
        fault.error, fault.message = "error_in_200", f"HTTP 200 with an error: {said.text or fault.message}"
    return fault


def _of_error(status: int, said: Said, headers: Mapping[str, str], asked: bytes, keyed: bool = True) -> Fault:
    """Return the Fault of an error with this status. Vendors use many statuses to say that the account has no credit left."""
    message, error = f"HTTP {status}: {said.text}", f"http_{status}"
    if status == 402 or (status not in _NEVER_THE_ACCOUNT and said.is_about_the_account(asked)):
        fault = Fault("account", error, ACCOUNT.format(seen=message))
    elif status in UNUSABLE:
        why = UNUSABLE if keyed else UNUSABLE | KEYLESS
        fault = Fault("unusable", error, why[status].format(said=said.text))
    elif status in OVERLOADS or (status >= 500 and said.is_overload):
        too_large = status == 429 and said.text.lower().startswith("request too large")  # over a minute's tokens: it never fits
        pause = retry_after(headers.get("Retry-After"), time.time())
        fault = Fault("refused" if too_large else "overload", error, message, pause)
    else:
        fault = Fault("broken" if status >= 500 or status in _TRIES_AGAIN else "refused", error, message)
    fault.said = said if status in _NAMES_FIELDS else None
    return fault


def of_exception(error: BaseException) -> Fault:
    """Return the Fault of what aiohttp raised: nothing there, no answer in time, or a connection that was dropped."""
    import aiohttp

    cause = str(error) or type(error).__name__
    if isinstance(error, aiohttp.InvalidURL):
        return Fault("unusable", "bad_url", f"is not a usable URL ({cause}); correct base_urls")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Fault("away", "unreachable", cause)
    if isinstance(error, TimeoutError):
        return Fault("slow", "timeout", "no answer in time")
    return Fault("broken", "dropped", f"hung up ({cause})")


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3); None if it is neither.

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
    return max(0.0, seconds) if math.isfinite(seconds) else None
