"""The warm process: it has imported what programs import, and forks a confined solver and tester for each execution.

It reads one byte and some descriptors per request, never a program, a test or an answer; those go from the runner to the forks
through separate descriptors. It ends its forks, empties the working folder, and removes it when the runner is gone, however
the runner ended.

    T  fork a tester that stays for plain suites: descriptor of its socket to the runner      K  end it
    P  fork a solver for it: descriptors of program, solver's channel
    F  fork solver and tester: descriptors of program, solver's channel, suite, tester's channel, verdict
    S  fork a script: descriptors of program, stdin, stdout, report
    C  answer a line of JSON: processor time of what runs
    E  end what runs; answer a line of JSON: how each fork ended, and a limit that it exceeded
    W  the same, but first wait a moment for forks that are ending by themselves
"""

from __future__ import annotations

import builtins
import ctypes
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn

from datakit.sandbox.inside import confine, solver, tester, visible
from datakit.sandbox.inside.folder import empty, usage
from datakit.sandbox.inside.settings import Settings, Spent

PRELOADED = (
    *("abc", "array", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum"),
    *("fractions", "functools", "heapq", "io", "itertools", "json", "math", "numbers", "operator", "random", "re"),
    *("statistics", "string", "struct", "sys", "textwrap", "threading", "time", "typing", "types"),
)
_HARNESS_TROUBLE = 70
_HIGH = 50  # above every descriptor that a zygote has
_A_USER_OF_NO_RIGHTS = 1_900_000_000


def main(settings: Settings) -> None:
    """Serve the runner until it is gone; remove the working folder then, even if the runner ended before the start."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner handles Ctrl-C, and ends this process by closing the socket
    # Moved to 3, below _HIGH: with many open files in the caller `_arrange` would leave its number open in a fork.
    os.dup2(settings.control, 3)
    os.closerange(4, settings.control + 1)
    os.chdir(settings.work)
    # By a descriptor: below a folder that is closed to others (root's own temporary one) the path no longer works.
    above = os.open("..", os.O_DIRECTORY)
    try:
        _serve(settings, socket.socket(fileno=3))
    finally:
        with suppress(OSError):
            empty(".")
            os.rmdir(os.path.basename(settings.work), dir_fd=above)  # noqa: PTH119
        if "/datakit-workers-" in (path := os.path.dirname(settings.work)):  # noqa: PTH120
            with suppress(OSError):  # the engine's folder; the engine may have been killed, too
                os.rmdir(path)  # noqa: PTH106


def _serve(settings: Settings, control: socket.socket) -> None:
    sys.dont_write_bytecode = True
    sys.path[:] = [path for path in sys.path if path in visible.STANDARD] + settings.paths  # without datakit's own folder
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]  # as the site module does
    for name in (*PRELOADED, *settings.libraries):
        importlib.import_module(name)
    sys.meta_path.insert(0, visible.Gate(settings))
    os.environ.clear()  # after the imports: libraries read their number of threads from there
    rehearse(settings.work)
    random.seed(0)  # two runs of a program draw the same numbers; nothing here draws afterwards
    zygote = _Zygote(settings, control)
    gc.collect()
    gc.freeze()  # the collector writes to the pages of objects that it visits, and a fork copies each page that it writes to
    gc.disable()  # solvers turn it on again (`_run`)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)  # after the start there is nothing more to report
    control.sendall(b"ready\n")
    try:
        zygote.serve()
    finally:
        zygote.dismiss()
        zygote.end()


def rehearse(work: str) -> None:
    """Run a few small programs of datakit's own through solver and tester in this process.

    The interpreter rewrites functions as they warm up, and fills caches: what has happened here does not happen in forks, where
    every page that is written to is copied first.
    """
    stdout, depth, null = sys.stdout, sys.getrecursionlimit(), os.open(os.devnull, os.O_WRONLY)
    for _ in range(_REHEARSALS):
        ours, theirs = (end.detach() for end in socket.socketpair())
        thread = threading.Thread(target=solver.solve, args=(ours, _PROGRAM))
        thread.start()
        with open(f"{work}/suite", "wb+") as suite:  # noqa: PTH123
            suite.write(_SUITE)
            suite.flush()
            tester.test(theirs, suite.fileno(), null)
        os.close(theirs)
        thread.join()
        os.close(ours)
    empty(work)
    os.close(null)
    sys.stdout = stdout
    sys.setrecursionlimit(depth)  # programs must not get the tester's limit
    del sys.modules[solver.MODULE]  # or `import solution` in a script or a tester would find it


_REHEARSALS = 20  # more calls than the interpreter needs to warm up a function
_PROGRAM = "import math\n\ndef f(x, *rest):\n    if x is None:\n        raise ValueError(x)\n    return x\n"
_VALUES = ("1", "2.5", "'text'", "[1, 2]", "(1, 'a')", "{1}", "{'a': 1}", "True", "[]", "[[1], [2]]")
_TESTS = [*(f"assert f({value}) == {value}" for value in _VALUES), "try:\n    f(None)\nexcept ValueError:\n    pass"]
_SUITE = json.dumps({"tests": "\n".join(_TESTS), "style": "asserts", "entry_point": None}).encode()


class _Zygote:
    """The state of the warm process: what every fork gets, and the running forks."""

    def __init__(self, settings: Settings, control: socket.socket) -> None:
        self.settings = settings
        self.control = control
        self.children: dict[int, str] = {}
        self.standing: int | None = None
        self.passed_limit: str | None = None
        # A limit on tasks counts all of the user's: root becomes a user without others; another user's may grow meanwhile.
        n_tasks = 0 if os.geteuid() == 0 else _tasks_of(os.geteuid()) + 256
        twice = 2 * settings.memory_mb  # a tester holds an answer both as text and as values
        self.rlimits = {
            "tester": confine.rlimits(twice, settings.cpu_s, n_tasks),
            "standing": confine.rlimits(twice, 24 * 3600, n_tasks),
        }
        self.rlimits |= dict.fromkeys(("solver", "script"), confine.rlimits(settings.memory_mb, settings.cpu_s, n_tasks))
        confine.set_rlimits(confine.rlimits_of_all())
        self.standing_began_s = 0.0
        self.ruleset: int | None = None
        if settings.tier == "landlock":
            self.ruleset = confine.make_ruleset(visible.folders(settings))
        self.filter = None
        if settings.tier != "none":
            self.filter = confine.fork_filter()  # assembled once; only forks install it, because it forbids forking
            self.give_up_powers()
        if sys.platform == "linux":
            confine.adopt_orphans()

    def give_up_powers(self) -> None:
        """Give up what the zygote no longer needs; forks inherit that. It is done once here because it takes time.

        The order matters: only root can give the folder away, a change of user resets what `hide` does, and a filter needs
        no_new_privileges.
        """
        if os.geteuid() == 0:
            user = _A_USER_OF_NO_RIGHTS + os.getpid() % 100_000  # a separate one: a user's threads are counted together
            with suppress(OSError):
                os.chown(self.settings.work, user, user)
            open_to_all = all(map(visible.is_open_to_all, (os.__file__, *self.settings.packages)))
            confine.drop_privileges(user, reads_any_file=not open_to_all)
        confine.hide()
        confine.no_new_privileges()
        confine.zygote_filter().install()

    # ------------------------------------------------------------------------------------------------------- requests

    def serve(self) -> None:
        asked = select.poll()
        asked.register(self.control, select.POLLIN)
        while True:
            while self.children and not asked.poll(50):
                self.watch_files()
            request, descriptors, _, _ = socket.recv_fds(self.control, 1, 8)  # one byte: reads nothing of the next request
            match request:
                case b"":
                    return
                case b"T":
                    self.dismiss()
                    self.standing = self.fork("standing", descriptors)
                case b"K":
                    self.dismiss()
                case b"P":
                    program, channel = descriptors
                    self.standing_began_s = _processor_s(self.standing)
                    self.children[self.fork("solver", [channel, program])] = "solver"
                case b"F":
                    program, channel, suite, other, verdict = descriptors
                    self.children[self.fork("tester", [other, suite, verdict])] = "tester"
                    self.children[self.fork("solver", [channel, program])] = "solver"
                case b"S":
                    program, stdin, stdout, report = descriptors
                    self.children[self.fork("script", [report, program], stdin, stdout)] = "script"
                case b"C":
                    self.control.sendall(json.dumps(self.spent()).encode() + b"\n")
                case b"E" | b"W":
                    self.control.sendall(self.end(patience_s=1.0 if request == b"W" else 0.0).encode())
            for descriptor in descriptors:
                os.close(descriptor)

    def fork(self, role: str, kept: list[int], stdin: int | None = None, stdout: int | None = None) -> int:
        gc.freeze()  # so that the forks' collector ignores what the last execution left
        # The C library's fork: Python's own takes twice as long, to set up what only a process with threads needs.
        # This process has a single thread, and has seeded `random` for its forks.
        pid: int = _FORK()
        if pid < 0:
            raise OSError("fork failed")
        if pid:
            return pid
        try:
            self.become(role, kept, stdin, stdout)
        finally:
            os._exit(_HARNESS_TROUBLE)  # whatever happens, a fork never returns to the zygote's loop

    def become(self, role: str, kept: list[int], stdin: int | None, stdout: int | None) -> NoReturn:
        """Give everything up, in the fork, then run the program or the tests.

        The filter comes last, because it refuses some of the calls before it. Nothing of the program has been read by then.
        """
        if self.filter is None:
            os.setsid()  # so that processes that it may fork can be found
        confine.die_with_parent()
        confine.set_rlimits(self.rlimits[role])
        if self.ruleset is not None:
            confine.restrict(self.ruleset)
        if self.filter is not None:
            self.filter.install()
        _run(role, _arrange(kept, stdin, stdout))
        os._exit(0)

    def spent(self) -> Spent:
        """Return the processor time of the program and of its tests."""
        if sys.platform != "linux":
            return {}
        spent = {role: _processor_s(pid) for pid, role in self.children.items()}
        tests = spent.get("tester", _processor_s(self.standing) - self.standing_began_s if "script" not in spent else 0.0)
        return {"program": spent.get("solver", spent.get("script", 0.0)), "tests": tests}

    def watch_files(self) -> None:
        """End an execution that exceeds the limit on files."""
        n_files, n_bytes = usage(".", self.settings.n_files)
        if n_files > self.settings.n_files:
            self.passed_limit = f"over {self.settings.n_files:,} files"
        elif n_bytes > self.settings.files_mb << 20:
            self.passed_limit = f"over {self.settings.files_mb} MB of files"
        if self.passed_limit is not None:
            for pid, role in self.children.items():
                if role != "tester":  # its verdict may be on the way, and it did not write the files
                    os.kill(pid, signal.SIGKILL)

    def end(self, patience_s: float = 0.0) -> str:
        """Kill what is running and empty the working folder; return an Over as a line of JSON.

        A tester is done when it has given its verdict: there is no wait for it. The JSON is written by hand because json's
        encoder touches forty pages.
        """
        forks = [f'"{role}": {self.reap(pid, 0.0 if role == "tester" else patience_s)}' for pid, role in self.children.items()]
        self.children.clear()
        if self.filter is None:
            _end_orphans()
        if os.listdir("."):  # noqa: PTH208
            empty(".")
        limit, self.passed_limit = self.passed_limit, None
        return f'{{"forks": {{{", ".join(forks)}}}, "limit": {"null" if limit is None else json.dumps(limit)}}}\n'

    def dismiss(self) -> None:
        """End the standing tester."""
        if self.standing is not None:
            self.reap(self.standing, 0.0)
            self.standing = None

    def reap(self, pid: int, patience_s: float) -> list[int]:
        """Return how a fork ended (`Ended`)."""
        patient_until = time.monotonic() + patience_s
        done, status = os.waitpid(pid, os.WNOHANG)
        while not done and time.monotonic() < patient_until:
            time.sleep(0.0005)
            done, status = os.waitpid(pid, os.WNOHANG)
        own = done == pid
        if not own:
            if self.filter is None:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # its own session, if it got that far
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        return [int(own), os.waitstatus_to_exitcode(status)]


_FORK = ctypes.PyDLL(None).fork  # looked up once: each look-up makes a new class, which a frozen collector keeps


def _run(role: str, kept: list[int]) -> None:
    if role == "standing":
        tester.serve(kept[0])
        return
    if role == "tester":
        tester.test(*kept)
        return
    to_tell, program = kept
    text = os.pread(program, os.fstat(program).st_size, 0).decode("utf-8", "surrogatepass")
    os.close(program)
    gc.enable()
    if role == "solver":
        solver.solve(to_tell, text)
    else:
        solver.run_script(text, to_tell)


def _arrange(kept: list[int], stdin: int | None, stdout: int | None) -> list[int]:
    """Arrange descriptors 0, 1, 2 as a program expects them, then those to keep; close all others. Return the new numbers."""
    for number, descriptor in enumerate((stdin, stdout)):
        if descriptor is not None:
            os.dup2(descriptor, number)  # the rest of 0, 1, 2 are the zygote's own, which lead nowhere
    for number, descriptor in enumerate(kept, start=_HIGH):  # first up, then down: none overwrites one still to be moved
        os.dup2(descriptor, number)
    for number in range(len(kept)):
        os.dup2(_HIGH + number, 3 + number)
    os.closerange(3 + len(kept), _HIGH + len(kept))
    return list(range(3, 3 + len(kept)))


# ----------------------------------------------------------------------------------------------------------- other processes


def _processor_s(pid: int | None) -> float:
    """Return the processor time of a process, all threads together; 0 if it is gone."""
    try:
        return time.clock_gettime(~pid << 3 | 2) if pid is not None else 0.0  # man 3 clock_getcpuclockid
    except OSError:
        return 0.0


def _tasks_of(user: int) -> int:
    """Return the number of processes and threads of a user, all of which count for a limit on them."""
    count = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208
        with suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == user:  # noqa: PTH116
                count += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
    return count


def _end_orphans() -> None:
    """End orphans that became children of this process (Linux): without a filter a program may have forked."""
    for _ in range(1000):
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123
                pids = [int(pid) for pid in file.read().split()]
        except OSError:
            return
        if not pids:
            return
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
