"""Turns results of lines into rows of responses, and of failures for lines without an answer. Joins by id, not position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from datakit.client import Fault, RequestFailed
from datakit.sample.exchange import Exchange, Manner
from datakit.sample.lines import LineId, Result, row_of
from datakit.sample.one_source import Store
from datakit.store import Sample
from datakit.tables import Rows, failure_row

ROWS_AT_A_TIME = 500  # rows that are stored together
ENDED_AS = {
    "expired": ("batch_expired", "the batch's completion_window ended before this line was answered"),
    "cancelled": ("batch_cancelled", "the batch was cancelled before this line was answered"),
}
NO_LINE = ("no_line", "the results of the batch have no line for this sample")


@dataclass
class Harvest:
    """Lines that were sent with the same settings, while their results are read."""

    exchange: Exchange
    manner: Manner
    wanted: dict[str, Sample]
    """The samples of the lines that have no row yet, by response_id."""
    request: Callable[[LineId], bytes]
    """Returns the request of a line: text that a server merely quotes from it is not about the error."""
    hide: Callable[[str], str]
    """Returns a text without our secrets."""
    store: Store
    proven: bool
    """True if the source has answered before. Until it has, a refusal may be its fault and not the request's."""
    n_done: int = field(default=0, init=False)
    account: str | None = field(default=None, init=False)
    """The message of a line about the account, if any: nothing more should be sent then."""
    last_fault: str | None = field(default=None, init=False)
    """The error of the last line without an answer."""

    def __post_init__(self) -> None:
        self._rows: Rows = []
        self._failures: list[tuple[str, str, str, int, bool]] = []

    @property
    def n_failed(self) -> int:
        """The number of lines without an answer."""
        return len(self._failures)

    def take(self, line_id: LineId, result: Result) -> bool:
        """Turn one result into a row; return False if it is not wanted: it was stored, or it occurs twice."""
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
            if not fault.error.startswith("batch_"):  # the vendor had no time for it: nothing is wrong
                self.last_fault = message
            if fault.meaning == "account":
                self.account = message
            self._fail(line_id.response_id, fault.error, message, 1, fault.meaning == "refused")
        if len(self._rows) >= ROWS_AT_A_TIME:
            self._flush()
        return True

    def end(self, status: str | None = None) -> None:
        """Finish after the last result. `status`: that of the batch, whose remaining lines then become failures."""
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
