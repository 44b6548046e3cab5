"""The display of a running stage: a table that fits the terminal, or one line per part for a log file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rich.console import Console, ConsoleOptions
from rich.text import Text

from datakit.progress import ReplicaProgress
from datakit.screen.ink import Ink
from datakit.screen.pace import Pace, Part, together
from datakit.wording import NAME_CHARS, compact, duration, number, short_names, shorten_name

INDENT = "  "
ECHO = 3  # columns kept free on the right: a terminal echoes ^C there, and a wrapped line would shift the display
WIDTH = 120  # the largest width that is used
ROOMY = 110
BAR = 24
LEAST_BAR, LEAST_NAME = 6, 14
REPLICAS = 4  # if there are more, those that are up are only counted
STATES = {"up": "dim", "resting": "yellow", "down": "bold red"}


@dataclass(frozen=True)
class Column:
    """A column of numbers, with one cell per line of the table."""

    title: str
    cells: list[str]
    rank: int = 0
    """In a narrow terminal the column with the highest value is dropped first; 0 is never dropped."""
    style: str = ""

    def drawn(self, at: int | None, widths: Mapping[str, int]) -> Text:
        """Return a cell, or the title for None, aligned to the right."""
        cell = self.title if at is None else self.cells[at]
        return Text(cell.rjust(widths[self.title]), style="dim" if at is None or cell == "0" else self.style)


@dataclass
class StageView:
    """The table of the parts, redrawn at every refresh."""

    parts: Mapping[str, Part]
    ended: bool = False
    """True if the stage is over: rates are means since its start, and the time is its duration."""
    _widest: dict[str, int] = field(default_factory=dict)
    """The widest that each column has been: columns never get narrower, so changing numbers do not shift their neighbours."""

    def look(self) -> None:
        """Read every part's poll."""
        for part in self.parts.values():
            part.look()

    @property
    def whole(self) -> Pace:
        """Return the pace of all parts together."""
        return together([part.pace(self.ended) for part in self.parts.values()], self.ended)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        self.look()
        yield from self.draw(min(options.max_width - ECHO, WIDTH), Ink(options.ascii_only))

    def draw(self, width: int, ink: Ink) -> Iterator[Text]:
        """Return the lines, none longer than `width`."""
        paces = [part.pace(self.ended) for part in self.parts.values()]
        names = list(short_names(self.parts).values())
        if len(paces) > 1:
            paces.append(self.whole)
            names.append("all")
        gap = "  " if width >= 90 else " "
        columns = _columns(paces, self.ended, roomy=width >= ROOMY)
        space = self._fit(columns, min(LEAST_NAME, max(map(len, names))), width, gap)
        noted = self._widest["note"] = max(self._widest.get("note", 0), *(len(pace.note) for pace in paces))
        room = space - noted - len(gap) if noted else space
        name_width = max(1, min(NAME_CHARS, space, max(map(len, names)), max(room, LEAST_NAME)))
        bar_width = min(BAR, room - name_width - len(gap))
        with_bar = bar_width >= LEAST_BAR
        lead = " " * (name_width + (len(gap) + bar_width if with_bar else 0))
        yield _line([Text(lead), *(column.drawn(None, self._widest) for column in columns)], gap, width)
        for at, (name, pace) in enumerate(zip(names, paces, strict=True)):
            label = [ink.text(shorten_name(name, name_width).ljust(name_width), "" if at < len(self.parts) else "bold")]
            label += [ink.meter(pace.finished, pace.total, bar_width, "green" if pace.is_done else "cyan")] if with_bar else []
            cells = [column.drawn(at, self._widest) for column in columns]
            yield _line([*label, *cells, ink.text(pace.note, "dim")], gap, width)
            if at < len(self.parts) and not self.ended:
                yield from _replica_lines(pace.now.replicas, width, ink)

    def lines(self) -> Iterator[str]:
        """Yield one line per part, for a log file."""
        self.look()
        return (f"{name}: {_sentence(part.pace(self.ended), self.ended)}" for name, part in self.parts.items())

    def _fit(self, columns: list[Column], least: int, width: int, gap: str) -> int:
        """Leave out columns until names have `least` characters; return the width that is left for names and bars."""
        for column in columns:
            self._widest[column.title] = max(self._widest.get(column.title, 0), *map(len, (column.title, *column.cells)))

        def space() -> int:
            return width - len(INDENT) - sum(self._widest[column.title] + len(gap) for column in columns)

        while space() < least and any(column.rank for column in columns):
            columns.remove(max(columns, key=lambda column: column.rank))
        return space()


def _columns(paces: Sequence[Pace], ended: bool, roomy: bool) -> list[Column]:
    """Return the columns that are not empty: a verifier has no requests, and most builds have no failures."""

    def numbers(title: str, values: Iterable[float], rank: int, style: str = "") -> Column:
        return Column(title, [compact(value) for value in values], rank, style)

    sampled = any(pace.now.requests or pace.now.replicas for pace in paces)
    columns = [Column("", [f"{min(pace.finished / pace.total, 1):.0%}" if pace.total else "" for pace in paces], 9)]
    whole = roomy or max(pace.total for pace in paces) < 100_000
    written = number if whole else compact
    columns += [Column("done", [f"{written(pace.done)}/{written(pace.total)}" for pace in paces])]
    if sampled and not ended:
        columns += [Column("in flight", [_in_flight(pace.now.replicas) for pace in paces], 1)]
    if sampled:
        columns += [numbers("req/s", (pace.requests for pace in paces), 4)]
    else:
        columns += [numbers("rows/s", (pace.rows for pace in paces), 4)]
    if sampled or any(pace.now.completion_tokens for pace in paces):
        columns += [numbers("tok/s", (pace.tokens for pace in paces), 3)]
    if any(pace.now.failed for pace in paces):
        columns += [numbers("failed", (pace.now.failed for pace in paces), 2, "yellow")]
    if any(pace.now.retries for pace in paces):
        columns += [numbers("retries", (pace.now.retries for pace in paces), 5)]
    if ended:
        return [*columns, Column("took", [duration(pace.took_s) for pace in paces])]
    left = ("done" if pace.is_done else "-" if pace.left_s is None else duration(pace.left_s) for pace in paces)
    return [*columns, Column("left", [*left])]


def _in_flight(replicas: Iterable[ReplicaProgress]) -> str:
    replicas = tuple(replicas)
    return f"{sum(one.in_flight for one in replicas):,}/{sum(one.window for one in replicas):,}" if replicas else "-"


def _line(parts: Iterable[Text], gap: str, width: int) -> Text:
    line = Text(INDENT, no_wrap=True) + Text(gap).join(parts)
    line.rstrip()
    line.truncate(width)
    return line


# ----------------------------------------------------------------------------------------------------------------- replicas


def _replica_lines(replicas: tuple[ReplicaProgress, ...], width: int, ink: Ink) -> Iterator[Text]:
    """Yield the URLs of a source if it has several or its only one is not up; of many, only those that are not up."""
    troubled = [replica for replica in replicas if replica.state != "up"]
    if len(replicas) < 2 and not troubled:
        return
    few = len(replicas) <= REPLICAS
    texts = [] if few else [Text(f"{len(replicas) - len(troubled)} of {len(replicas)} up", style="dim")]
    texts += [ink.text(_replica(replica), STATES[replica.state]) for replica in (replicas if few else troubled)]
    line = Text(no_wrap=True)
    for said in texts:
        if line and len(line) + 3 + len(said) > width:
            yield line
            line = Text(no_wrap=True)
        line = line + Text("   ") + said if line else Text(INDENT * 2, no_wrap=True) + said
    line.truncate(width)
    yield line


def _replica(replica: ReplicaProgress) -> str:
    """Return host, port and path of a URL, without user name and password, and its state."""
    url = urlsplit(replica.url)
    address = url.netloc.rpartition("@")[2] + url.path.rstrip("/").removesuffix("/v1")
    facts = [shorten_name(address, 2 * NAME_CHARS)]
    facts += [replica.state] if replica.state != "up" else []
    facts += [f"{replica.in_flight}/{replica.window}"] if replica.state != "down" else []
    return " ".join(facts) + (f", {replica.waiting:,} waiting" if replica.waiting else "")


# ------------------------------------------------------------------------------------------------------------ a line a part


def _sentence(pace: Pace, ended: bool) -> str:
    now = pace.now
    facts = [f"{pace.done:,} of {pace.total:,}"]
    facts += [f"{now.failed:,} failed"] if now.failed else []
    facts += [f"{_in_flight(now.replicas)} in flight"] if now.replicas and not ended else []
    facts += [f"{compact(pace.requests)} requests/s"] if now.requests else [f"{compact(pace.rows)} rows/s"]
    facts += [f"{compact(pace.tokens)} tokens/s"] if now.completion_tokens else []
    facts += [f"{now.retries:,} retries"] if now.retries else []
    facts += [pace.note] if pace.note else []
    if ended or pace.is_done:
        return ", ".join([*facts, f"took {duration(pace.took_s)}"])
    facts += [f"{duration(pace.left_s)} left"] if pace.left_s is not None else []
    return ", ".join(facts + [_replica(replica) for replica in now.replicas if replica.state != "up" or replica.waiting])
