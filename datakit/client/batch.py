"""A vendor's batch interface, through the `openai` package: files of requests that are answered within a day, for less.

Nothing here asks twice by itself: a second file or batch would be a second bill. What failed is a Fault, and who asked decides,
after looking for what the first try may have made (`file_named`, `batch_of`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from datakit.client.access import Access
from datakit.client.calls import AGAIN, FIRST_PATIENCE_S, NOTHING_THERE_S
from datakit.client.faults import Drained, Fault, of_answer, of_status
from datakit.client.replica import CONNECT_S, LOCAL, backoff
from datakit.errors import SOME_RECIPE, Origin, SourceStopped, needs_extra

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import Batch

Given = TypeVar("Given")
ENDED = ("completed", "failed", "expired", "cancelled")
MAY_PASS = ("away", "broken", "overload", "slow")
PAGE = 100  # objects of a list at a time: the most that is documented for batches


@dataclass(frozen=True)
class BatchState:
    """A batch as the vendor has it at one moment."""

    batch_id: str
    status: str
    completed: int
    failed: int
    total: int
    files: tuple[str, ...]
    """The ids of its output file and its error file, as far as it has them."""
    refusal: Fault | None
    """Why the file as a whole was not taken: nothing of it was asked."""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in ENDED


def check_package() -> None:
    """MissingExtra where the openai package is not installed."""
    with needs_extra("batch", "request: batch"):
        import openai  # noqa: F401


class BatchClient:
    """Files and batches at one URL. Use as `async with`. Every method but `patiently` and `pause` may raise a Fault."""

    def __init__(
        self,
        model: str,
        base_url: str,
        access: Access,
        timeout_s: float,
        patience_s: float,
        proven: bool,
        origin: Origin = SOME_RECIPE,
    ) -> None:
        """`proven`: the source has answered before. `origin`: where the section was written. See calls.Client."""
        self.model, self.url, self.patience_s = model, base_url, patience_s
        self.in_flight = 0
        """Requests that one may wait for: a batch goes on by itself."""
        self.answered = proven
        self._access, self._timeout_s = access, timeout_s
        self._again = AGAIN.format(again=origin.again)
        self._draining = asyncio.Event()
        self._api: AsyncOpenAI
        self._headers: Mapping[str, Any]

    async def __aenter__(self) -> BatchClient:
        check_package()
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Omit, Timeout

        url = urlsplit(self.url)
        named = {name.lower() for name in self._access.headers}
        self._headers = {**({} if "authorization" in named else {"Authorization": Omit()}), **self._access.headers}
        self._api = AsyncOpenAI(
            api_key="in the headers",  # where there is none, no variable of the environment takes its place
            base_url=urlunsplit(url._replace(query="")),
            default_query=dict(parse_qsl(url.query)),
            timeout=Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s)),
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(trust_env=url.hostname not in LOCAL),
        )
        self._api.organization = self._api.project = self._api.admin_api_key = None  # the environment's; a recipe has headers
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._api.close()

    def drain(self) -> None:
        """Whoever waits gets Drained; what is being sent may still arrive."""
        self._draining.set()

    async def pause(self, seconds: float) -> None:
        """Wait. Raises Drained as soon as the work is to end."""
        try:
            await asyncio.wait_for(self._draining.wait(), seconds)
        except TimeoutError:
            return
        raise Drained

    async def patiently(self, step: Callable[[], Awaitable[Given]]) -> Given:
        """What the step gives. It is tried again where a Fault may pass, so it must look for what it has made itself.

        Raises SourceStopped for any other Fault, and where none passes for `patience_s`; Drained.
        """
        since, tries = time.monotonic(), 0
        while True:
            if self._draining.is_set():
                raise Drained
            try:
                given = await step()
            except Fault as fault:
                waited = time.monotonic() - since
                soon = NOTHING_THERE_S if fault.meaning == "away" else FIRST_PATIENCE_S
                if fault.meaning not in MAY_PASS or waited > (self.patience_s if self.answered else min(soon, self.patience_s)):
                    raise self.stop(f"the server {fault.message}") from fault
                tries += 1
                await self.pause(min(backoff(tries) if fault.retry_after_s is None else fault.retry_after_s, self.patience_s))
            else:
                self.answered = True
                return given

    def hide(self, text: str) -> str:
        """A text without our secrets."""
        return self._access.hide_text(text)

    def stop(self, said: str) -> SourceStopped:
        """The error of a source that cannot go on."""
        return SourceStopped(self.hide(f"{self.model} at {self.url}: {said}; {self._again}"))

    async def upload(self, path: Path, name: str) -> str:
        """The id of a file of requests."""
        with path.open("rb") as file:
            async with self._faults():
                return (await self._api.files.create(file=(name, file), purpose="batch", extra_headers=self._headers)).id

    async def file_named(self, name: str) -> str | None:
        """The id of a file that was uploaded under this name; None where there is none, or no list to look in."""
        try:
            async with self._faults():
                async for file in self._api.files.list(purpose="batch", extra_headers=self._headers):
                    if file.filename == name:
                        return file.id
        except Fault as fault:
            if not has_no_list(fault):
                raise
        return None

    async def create(self, file_id: str, url: str, window: str, metadata: Mapping[str, str]) -> BatchState:
        """Begin a batch: from here on its lines are answered, and paid for."""
        async with self._faults():
            made = await self._api.batches.create(
                input_file_id=file_id,
                endpoint=url,  # type: ignore[arg-type]  # other vendors have other paths and windows
                completion_window=window,  # type: ignore[arg-type]
                metadata=dict(metadata),
                extra_headers=self._headers,
            )
        return _state_of(made)

    async def batch_of(self, file_id: str, metadata: Mapping[str, str]) -> BatchState | None:
        """The batch that was made of this file or with this metadata, where there is one that was not refused."""
        async with self._faults():
            async for batch in self._api.batches.list(limit=PAGE, extra_headers=self._headers):
                if batch.input_file_id == file_id or (batch.metadata or {}).items() >= metadata.items():
                    state = _state_of(batch)
                    if state.refusal is None:
                        return state
        return None

    async def look(self, batch_id: str) -> BatchState:
        """How it fares."""
        async with self._faults():
            return _state_of(await self._api.batches.retrieve(batch_id, extra_headers=self._headers))

    async def download(self, file_id: str, path: Path) -> None:
        """Write a file of results, whole or not at all."""
        temporary = path.with_suffix(".tmp")
        files = self._api.files.with_streaming_response
        async with self._faults(), files.content(file_id, extra_headers=self._headers) as answer:
            with temporary.open("wb") as file:
                async for some in answer.iter_bytes(1 << 20):
                    file.write(some)
        temporary.rename(path)

    @asynccontextmanager
    async def _faults(self) -> AsyncIterator[None]:
        """What the package and its HTTP library raise, as a Fault without our secrets."""
        import httpx2
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            body = await _body_of(error)
            keyed = self._access.has_key
            raise of_status(error.status_code, self._access.hide(body), error.response.headers, keyed=keyed) from error
        except openai.APITimeoutError as error:
            raise Fault("slow", "timeout", "no answer in time") from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            cause = self._access.hide_text(str(error.__cause__ or error) or type(error).__name__)
            away = isinstance(error.__cause__, httpx2.ConnectError)
            fault = Fault("away", "unreachable", f"is not there ({cause})") if away else Fault("broken", "dropped", cause)
            raise fault from error
        except openai.APIError as error:
            raise Fault("broken", "malformed", f"gave no answer that can be read ({str(error)[:150]})") from error


async def _body_of(error: Any) -> bytes:
    """What the server said; of a streamed answer it has not been read yet."""
    if error.body is not None:
        return json.dumps({"error": error.body} if isinstance(error.body, dict) else error.body).encode()
    return bytes(await error.response.aread())


def has_no_list(fault: Fault) -> bool:
    """Whether the server cannot say what it has."""
    return fault.error in ("http_404", "http_405", "http_501")


def _state_of(batch: Batch) -> BatchState:
    counts = batch.request_counts
    completed, failed, total = (counts.completed, counts.failed, counts.total) if counts is not None else (0, 0, 0)
    files = tuple(file for file in (batch.output_file_id, batch.error_file_id) if file)
    refusal = _refusal(batch) if batch.status == "failed" and not files and not completed else None
    return BatchState(batch.id, batch.status, completed or 0, failed or 0, total or 0, files, refusal)


def _refusal(batch: Batch) -> Fault:
    """Why a file was not taken: the same classes as of a request, and no room in the vendor's queue is an overload."""
    errors = (batch.errors.data if batch.errors is not None else None) or []
    said = [{name: value for name, value in error.model_dump().items() if value is not None} for error in errors]
    first: dict[str, Any] = {"message": "the vendor gives no reason"} | (said[0] if said else {})
    fault = of_answer({"error": {"type": first.get("code"), **first}}, {}, b"") or Fault("refused", "batch_failed", "")
    words = f"{first.get('message', '')}" + (f" (line {first['line']})" if "line" in first else "")
    if first.get("code") == "token_limit_exceeded":
        fault.meaning = "overload"
    elif fault.meaning != "account":
        fault.meaning, fault.message = "refused", f"did not take the file: {words}"
    return fault
