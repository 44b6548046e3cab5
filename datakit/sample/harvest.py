"""What lines come back as: rows of responses, and of failures for lines without an answer. Joined by id, never by position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from datakit.client import Fault, RequestFailed
from datakit.sample.exchange import Exchange, Manner
from datakit.sample.lines import LineId, Result, row_of
from datakit.sample.one_source import Store
from datakit.store import Sample
from datakit.tables import Rows, failure_row

ROWS_AT_A_TIME = 500  # that are stored together
ENDED_AS = {
    "expired": ("batch_expired", "the batch's completion_window ended before this line was answered"),
    "cancelled": ("batch_cancelled", "the batch was cancelled before this line was answered"),
}
NO_LINE = ("no_line", "the results of the batch have no line for this sample")


@dataclass
class Harvest:
    """Lines that were asked in one manner, as their results are read."""

    exchange: Exchange
    manner: Manner
    wanted: dict[str, Sample]
    """Whose the lines are that are still to become rows, by response_id."""
    request: Callable[[LineId], bytes]
    """The request of a line: what is only quoted from it, a server does not say itself."""
    hide: Callable[[str], str]
    """A text without our secrets."""
    store: Store
    proven: bool
    """Whether the source has answered before. While it has not, a refusal may be its fault, not the request's."""
    n_done: int = field(default=0, init=False)
    account: str | None = field(default=None, init=False)
    """What a line says of the account: nothing more is to be asked."""
    last_fault: str | None = field(default=None, init=False)
    """What the last line says that came back without an answer."""

    def __post_init__(self) -> None:
        self._rows: Rows = []
        self._failures: list[tuple[str, str, str, int, bool]] = []

    @property
    def n_failed(self) -> int:
        """Lines without an answer."""
        return len(self._failures)

    def take(self, line_id: LineId, result: Result) -> bool:
        """One result becomes a row; False where it is wanted no more: it was stored, or came twice."""
        sample = self.wanted.pop(line_id.response_id, None)
        if sample is None:
            return False
        try:
            row = row_of(self.exchange, line_id, result, lambda: self.request(line_id), self.manner)
            self._rows.append(row | sample._asdict())
            self.n_done += 1
        except RequestFailed as failure:
            self.last_fault = failure.message
            self._fail(line_id.response_id, failure.error, failure.message, failure.attempts, failure.permanent)
        except Fault as fault:
            message = self.hide(fault.message)
            if not fault.error.startswith("batch_"):  # that the vendor had no time for it is nobody's fault
                self.last_fault = message
            if fault.meaning == "account":
                self.account = message
            self._fail(line_id.response_id, fault.error, message, 1, fault.meaning == "refused")
        if len(self._rows) >= ROWS_AT_A_TIME:
            self._flush()
        return True

    def end(self, status: str | None = None) -> None:
        """All results were read. `status`: that of the batch, whose other lines are failures then."""
        error, message = ENDED_AS.get(status or "", NO_LINE)
        if status is not None:
            for key in self.wanted:
                self._fail(key, error, message, 1, permanent=False)
            self.wanted.clear()
        self._flush()
        name, answered = self.exchange.source.model, self.proven or self.n_done > 0
        rows = [
            failure_row("sample", key, name, error, message, attempts, permanent and answered)
            for key, error, message, attempts, permanent in self._failures
        ]
        if rows:
            self.store([], rows)

    def _fail(self, key: str, error: str, message: str, attempts: int, permanent: bool) -> None:
        self._failures.append((key, error, message, attempts, permanent))

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self.store(rows, [])
