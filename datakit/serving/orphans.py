"""Finds and ends what is left of model servers whose datakit, and whose guard, were killed.

All processes of a server inherit an environment variable with their owner and the path of their log. An owner is a process id
with its start time and its pid namespace, so a reused process id or a process in another container is never mistaken for it.
Without /proc (elsewhere than on Linux) nothing is found.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from datakit.serving.guard import STOP_S

MARK = "DATAKIT_SERVER"
_PROC = Path("/proc")


class Say(Protocol):
    """Shows a sentence to the user."""

    def __call__(self, text: str, warning: bool = False) -> None: ...


def mark(log: Path) -> str:
    """Return the variable's value for a server of this process: its owner, a space, its log."""
    return f"{_identity(os.getpid())} {log.resolve()}"


def end_orphans(logs: Path, say: Say) -> None:
    """End, and name, the remaining processes of servers with a log in this folder whose datakit is gone."""
    of_folder = logs.resolve()

    def orphaned(marked: str) -> bool:
        owner, _, log = marked.partition(" ")
        if Path(log).parent != of_folder:
            return False
        namespace, pid, _ = owner.split(":")
        if _identity(os.getpid()).split(":")[0] != namespace:  # another container's: not to be checked, it counts as running
            return False
        try:
            return _identity(int(pid)) != owner
        except OSError:
            return True

    if found := _marked(orphaned):
        named = ", ".join(f"{pid} ({_title(pid)}; {Path(value.partition(' ')[2]).name})" for pid, value in found.items())
        say(f"left by a datakit that was killed, ended now: processes {named}", warning=True)
        if left := end_marked(orphaned):
            say(f"even SIGKILL did not end them: processes {', '.join(map(str, left))}", warning=True)


def end_marked(wanted: Callable[[str], bool]) -> list[int]:
    """Send SIGTERM, then SIGKILL, to the processes whose mark is wanted; return those that are still there."""
    began_at = time.monotonic()
    told: set[int] = set()
    while (found := _marked(wanted)) and time.monotonic() < began_at + 2 * STOP_S:
        late = time.monotonic() > began_at + STOP_S
        for pid in found:
            if late or pid not in told:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        told.update(found)
        time.sleep(0.1)
    return list(found)


def _marked(wanted: Callable[[str], bool]) -> dict[int, str]:
    """Return the marks of running processes that are wanted, by pid. Those of other users cannot be read."""
    found = {}
    start = f"{MARK}=".encode()
    for environ in _PROC.glob("[0-9]*/environ"):
        with suppress(OSError):
            entries = environ.read_bytes().split(b"\0")
            value = next((os.fsdecode(entry[len(start) :]) for entry in entries if entry.startswith(start)), None)
            if value is not None and wanted(value):
                found[int(environ.parent.name)] = value
    return found


def _identity(pid: int) -> str:
    """Return pid namespace:pid:start time. Raise OSError if there is no such process."""
    if not _PROC.is_dir():
        return f"-:{pid}:-"
    namespace = (_PROC / "self/ns/pid").readlink().name
    started = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    return f"{namespace.removeprefix('pid:')}:{pid}:{started}"


def _title(pid: int) -> str:
    """Return a process's command line, shortened."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return "gone"
    return words if len(words) <= 60 else f"{words[:57]}..."
