"""The guard of one model server: a small program that starts the server, and ends with it or ends it.

    python -I -S guard.py COMMAND...

It uses the standard library alone, in a session of its own. Its stdin is a pipe that datakit holds open: when that closes,
datakit is gone, however it ended, and everything that the server started is ended too, with SIGTERM and then SIGKILL. The
guard adopts processes whose parent has died (Linux), so those that left the server's process group are found as well. Its exit
status is the server's, 128 + N for a signal. A server whose guard is killed is killed by the kernel (Linux); orphans.py looks
for what such a server leaves behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

STOP_S = 10.0
"""Seconds between SIGTERM and SIGKILL."""
_GIVE_UP_S = 10.0  # a process that SIGKILL does not end within these seconds hangs in the kernel
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

Statuses = dict[int, int]
"""Exit statuses by process id, of processes that have ended: 128 + N for a signal."""


def main(command: list[str]) -> int:
    """Run the server until it ends or is no longer wanted. Return its exit status."""
    wake, woken = os.pipe()  # `select` waits for signals on it, and the numbers of received signals are read from it
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    server = _start(command)
    statuses: Statuses = {}
    unwanted = False
    while server not in statuses and not unwanted:
        ready, _, _ = select.select([0, wake], [], [])
        told = os.read(wake, 256) if wake in ready else b""
        unwanted = 0 in ready or signal.SIGTERM in told
        _reap(statuses)
    _end_all(server, statuses)
    return statuses.get(server, 1)


def _start(command: list[str]) -> int:
    """Start the server as the leader of a process group that the kernel kills if the guard dies. Return its pid."""
    guard, pid = os.getpid(), os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if os.getppid() == guard:  # otherwise the guard was killed before the line above took effect
            os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"datakit: cannot run {command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _end_all(server: int, statuses: Statuses) -> None:
    """Send SIGTERM to the server's group and to each child outside it, also those adopted later; then SIGKILL to the rest."""
    began_at = time.monotonic()
    told: set[int] = set()
    _signal_group(server, signal.SIGTERM)
    while _reap(statuses) and time.monotonic() < began_at + STOP_S + _GIVE_UP_S:
        late = time.monotonic() > began_at + STOP_S
        for pid in _children():
            with contextlib.suppress(OSError):
                if late or (pid not in told and os.getpgid(pid) != server):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            told.add(pid)
        time.sleep(0.1)
    _signal_group(server, signal.SIGKILL)  # if the guard cannot adopt processes, only the group is known


def _signal_group(server: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.killpg(server, number)


def _reap(statuses: Statuses) -> bool:
    """Collect the processes that have ended; return True if others are left."""
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return True
            code = os.waitstatus_to_exitcode(status)
            statuses[pid] = code if code >= 0 else 128 - code
    except ChildProcessError:
        return False


def _children() -> list[int]:
    """Return the processes whose parent is this one, from /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(int(stat.parent.name))
    return found


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
