"""What stands around a sandbox while hostile programs run in it, and what of it changed.

A canary folder, servers, a victim process, a secret in the environment, a temporary folder of its own; and a look at the
process table, shared memory and well-known folders. `complaints()` runs one case and says everything that is wrong with it.
Linux and the standard library only: this also runs under a bare interpreter, as a user without rights
(`python surroundings.py PROJECT`, which prints JSON).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.helpers.hostile import CASES, Case

TIMEOUT_S = 2.0
LITTLE_S = 0.2  # for the programs that would run for ever
GRACE_S = 9 * TIMEOUT_S  # by the wall a program gets ten times its time on a busy machine
MEMORY_MB = 512
MAX_DETAIL = 2000
OLD = 1_000_000_000  # the time stamp of all canary files
WRITABLE = [
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/run",
    "/",
    "/etc",
    "/usr/local/lib",
    "/opt",
    "/srv",
    "/mnt",
    "/dev",
    "/dev/mqueue",
    "/root",
]
SUBREAPER = 36  # of prctl: orphans of our processes become our children, and can be seen
RIGHT = "def f(n): return n * n\n"
WRONG = "def f(n): return n + n + 1\n"
SIMPLE = "assert f(2) == 4\nassert f(3) == 9\n"


class Surroundings:
    """Canaries around a sandbox. A context: it takes everything away again."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.mark = f"datakit-hostile-{uuid.uuid4().hex[:12]}"
        self.home = Path(tempfile.mkdtemp(prefix="datakit-canary-"))
        self.home.chmod(0o755)
        self.temp = self.home / "temp"
        self.temp.mkdir()
        self.canary = self.home / "canary"
        self._make_canary()
        self.servers = self._serve()
        self.victim = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)"])
        self._environment = {name: os.environ.get(name) for name in ("DATAKIT_CANARY", "TMPDIR")}
        self._tempdir = tempfile.tempdir
        os.environ.update(DATAKIT_CANARY=f"CANARY-{self.mark}", TMPDIR=str(self.temp))
        tempfile.tempdir = str(self.temp)
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)

    def __enter__(self) -> Surroundings:
        return self

    def __exit__(self, *error: object) -> None:
        ctypes.CDLL(None).prctl(SUBREAPER, 0, 0, 0, 0)
        tempfile.tempdir = self._tempdir
        for name, value in self._environment.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        self.victim.kill()
        self.victim.wait()
        for server in self.servers.values():
            server.close()
        self.take_away_marks()
        _remove(self.home)

    def _make_canary(self) -> None:
        (self.canary / "empty").mkdir(parents=True)
        (self.canary / "secret.txt").write_text(f"CANARY-{self.mark}\n")
        (self.canary / "run.sh").write_text("#!/bin/sh\n")
        (self.canary / "run.sh").chmod(0o755)
        for path in [*self.canary.iterdir(), self.canary]:
            os.utime(path, (OLD, OLD))

    def _serve(self) -> dict[str, socket.socket]:
        tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        unix, dgram, abstract = (socket.socket(socket.AF_UNIX, kind) for kind in (1, 2, 1))
        addresses: list[tuple[socket.socket, Any]] = [
            (tcp, ("127.0.0.1", 0)),
            (udp, ("127.0.0.1", 0)),
            (unix, str(self.home / "u.sock")),
            (dgram, str(self.home / "d.sock")),
            (abstract, "\0" + self.mark),
        ]
        for server, address in addresses:
            server.bind(address)
        for server in (tcp, unix, abstract):
            server.listen()
        for name in ("u.sock", "d.sock"):
            (self.home / name).chmod(0o777)
        return {"tcp": tcp, "udp": udp, "unix": unix, "unix_dgram": dgram, "abstract": abstract}

    def fill(self, text: str) -> str:
        """A program with what it names in the surroundings."""
        for name, value in {
            "CANARY": self.canary,
            "TEMP": self.temp,
            "MARK": self.mark,
            "PROJECT": self.project,
            "HOME": Path.home(),
            "CALLER": os.getpid(),
            "CALLER_CWD": Path.cwd(),
            "VICTIM": self.victim.pid,
            "TCP": self.servers["tcp"].getsockname()[1],
            "UDP": self.servers["udp"].getsockname()[1],
            "UNIX": self.home / "u.sock",
            "UNIX_DGRAM": self.home / "d.sock",
        }.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def state(self) -> dict[str, Any]:
        """Everything that must not change, by name."""
        return {
            "canary": {str(path): _facts(path) for path in [self.canary, *sorted(self.canary.rglob("*"))]},
            "canary's text": (self.canary / "secret.txt").read_text() if (self.canary / "secret.txt").exists() else None,
            "temporary files": sorted(path.name for path in self.temp.iterdir()),
            "marks": self.marks(),
            "shared memory": [_lines(f"/proc/sysvipc/{kind}") for kind in ("shm", "msg", "sem")],
            "servers heard from": [name for name, server in self.servers.items() if _heard(server)],
            "victim": self._victim(),
        }

    def _victim(self) -> object:
        pid = self.victim.pid
        try:
            held = _lines(f"/proc/{pid}/limits")
            return self.victim.poll(), os.sched_getaffinity(pid), os.sched_getscheduler(pid), os.getpriority(0, pid), held
        except OSError:
            return "gone"

    def marks(self) -> list[str]:
        """Files that programs left in places where they have no business."""
        folders = {
            *WRITABLE,
            str(Path.home()),
            str(Path.cwd()),
            str(self.canary),
            str(self.project),
            sys.prefix,
            sys.base_prefix,
        }
        folders |= {str(self.project / "datakit"), str(self.project / "tests"), str(Path(os.__file__).parent), str(self.temp)}
        paths = [Path(folder) / name for folder in folders for name in (self.mark, f"sem.{self.mark}")]
        return sorted(str(path) for path in paths if _exists(path))

    def take_away_marks(self) -> None:
        """Undo what a hole let through, so that one failure does not become many."""
        for path in self.marks():
            with contextlib.suppress(OSError):
                Path(path).rmdir() if Path(path).is_dir() and not Path(path).is_symlink() else Path(path).unlink()


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _facts(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    attributes = os.listxattr(path, follow_symlinks=False)
    return (
        stat.filemode(found.st_mode),
        found.st_uid,
        found.st_gid,
        found.st_size,
        found.st_mtime_ns,
        found.st_nlink,
        tuple(attributes),
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _heard(server: socket.socket) -> bool:
    heard = bool(select.select([server], [], [], 0)[0])
    if heard:
        with contextlib.suppress(OSError):
            server.recv(64) if server.type == socket.SOCK_DGRAM else server.accept()[0].close()
    return heard


def _remove(folder: Path) -> None:
    """Remove a folder, also one with immutable or closed folders in it (where it may be done)."""

    def open_up(_: object, path: str, __: object) -> None:
        for place in (path, str(Path(path).parent)):
            with contextlib.suppress(OSError):
                Path(place).chmod(0o700)
                descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
                fcntl.ioctl(descriptor, 0x40086602, struct.pack("L", 0))
                os.close(descriptor)

    for _ in range(3):
        shutil.rmtree(folder, onerror=open_up)
        if not folder.exists():
            return


def processes() -> dict[int, tuple[int, str, str]]:
    """Every process: pid -> (parent, state, name)."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            state, parent = text.rpartition(")")[2].split()[:2]
            found[int(entry.name)] = (int(parent), state, text[text.index("(") + 1 : text.rindex(")")])
    return found


def descendants() -> set[int]:
    """The living processes below this one, orphans included; they stand below us since we are their subreaper."""
    table = processes()
    below: set[int] = set()
    fresh = {os.getpid()}
    while fresh:
        fresh = {pid for pid, (parent, _, _) in table.items() if parent in fresh} - below
        below |= fresh
    return {pid for pid in below if table[pid][1] not in "ZX"}


def survivors(before: set[int], wait_s: float = 1.0) -> list[str]:
    """Processes that are more than there were before, after a moment to end."""
    until = time.monotonic() + wait_s
    while True:
        now = descendants()
        if len(now) <= len(before):
            return []
        if time.monotonic() > until:
            table = processes()
            return [f"{pid} {table.get(pid)}" for pid in sorted(now - before)]
        time.sleep(0.02)


def complaints(sandbox: Any, around: Surroundings, case: Case) -> list[str]:
    """Run a case; everything that is wrong about its verdict, what it left, and how the sandbox is afterwards."""
    before, running = around.state(), descendants()
    tries = 1 if "timeout" in case.outcomes else 2  # what was too slow on a busy machine has a second chance, as everywhere
    for _ in range(tries):
        started = time.monotonic()
        try:
            done = sandbox.check(
                around.fill(case.program), around.fill(case.tests), style=case.style, entry_point=case.entry_point
            )
        except Exception as error:  # noqa: BLE001 - whatever check() raises is a finding, and no reason to stop
            return [f"check() raised {type(error).__name__}: {error!s:.300}"]
        took = time.monotonic() - started
        if done.outcome != "timeout":
            break
    wrong = [*_about_verdict(case, done, took), *(f"survived: {one}" for one in survivors(running))]
    wrong += _about_change(before, around.state())
    around.take_away_marks()
    return wrong + list(_about_health(sandbox))


def _about_verdict(case: Case, done: Any, took: float) -> Iterator[str]:
    if done.outcome not in case.outcomes:
        yield f"outcome {done.outcome!r}, not {' or '.join(map(repr, case.outcomes))}: {done.detail[:600]!r}"
    elif case.detail and not re.search(case.detail, done.detail):
        yield f"detail {done.detail[:600]!r} does not match {case.detail!r}"
    if took > TIMEOUT_S + GRACE_S:
        yield f"took {took:.1f} s with a limit of {TIMEOUT_S} s"
    if not isinstance(done.detail, str) or len(done.detail) > MAX_DETAIL:
        yield f"a detail of {len(done.detail)} characters"
    elif done.detail.encode(errors="replace").decode() != done.detail or any(
        ord(c) < 32 and c not in "\n\t" for c in done.detail
    ):
        yield f"a detail that cannot be shown or stored: {done.detail[:200]!a}"


def _about_change(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name, value in before.items():
        if name == "temporary files" and set(after[name]) - set(value):
            yield f"left in the temporary folder: {sorted(set(after[name]) - set(value))[:5]}"
        elif name != "temporary files" and after[name] != value:
            yield f"changed: {name}: {str(value)[:400]} -> {str(after[name])[:400]}"


def _about_health(sandbox: Any) -> Iterator[str]:
    for program, outcome in ((RIGHT, "passed"), (WRONG, "failed")):
        done = sandbox.check(program, SIMPLE, style="asserts", entry_point="f")
        if done.outcome == "timeout":  # the machine is busy
            done = sandbox.check(program, SIMPLE, style="asserts", entry_point="f")
        if done.outcome != outcome:
            yield f"a simple program is {done.outcome!r} afterwards, not {outcome!r}: {done.detail[:300]!r}"


def memory_mb() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def open_descriptors() -> int:
    """How many this process holds."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def main(project: Path) -> None:
    """Run the whole table and print {case: complaints}, for a user without rights."""
    signal.alarm(900)
    sys.path.insert(0, str(project))
    from datakit.sandbox.runner import Limits, Sandbox

    found: dict[str, list[str]] = {}
    limits = Limits(timeout_s=TIMEOUT_S, memory_mb=MEMORY_MB)
    with (
        Surroundings(project) as around,
        Sandbox(limits=limits) as sandbox,
        Sandbox(limits=replace(limits, timeout_s=LITTLE_S)) as hasty,
    ):
        for case in CASES:
            found[case.name] = complaints(hasty if case.to_limit else sandbox, around, case)
        tier = sandbox.tier
    print(json.dumps({"user": os.getuid(), "tier": tier, "threads": threading.active_count(), "complaints": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
