"""One supervised model server: started below its guard, waited for, restarted when it dies."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datakit.errors import SourceStopped
from datakit.serving import guard
from datakit.serving.orphans import MARK, Say, end_marked, mark

LINE_EVERY_S = 30.0
"""Seconds between lines of the log that are shown while waiting for a server."""
_LOG_END = 100_000  # bytes at the end of a log that are read
_LINES_SHOWN = 15
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never a proxy for this machine


@dataclass(frozen=True)
class Launch:
    """The parameters to start a server, once or again."""

    name: str
    """The name for the user: the model."""
    command: list[str]
    environment: dict[str, str]
    port: int
    log: Path
    restarts: int
    start_timeout_s: float


class Server:
    """A model server that is kept running. Its URL stays the same through restarts."""

    def __init__(self, launch: Launch, say: Say) -> None:
        self.base_url = f"http://127.0.0.1:{launch.port}/v1"
        self.name, self.log = launch.name, launch.log
        self._launch, self._say = launch, say
        self._trouble: str | None = None
        self._unwanted = threading.Event()
        self._starting = threading.Lock()
        self._log_start = 0  # where the running process's part of the log begins
        self._guard = self._start()
        self._keeper = threading.Thread(target=self._keep, name=f"keeper of {launch.name}", daemon=True)

    def trouble(self) -> str | None:
        """Return why the server is gone for good, with the end of its log; None while it runs or is being restarted."""
        return self._trouble

    def check_alive(self) -> None:
        """Raise SourceStopped with the end of its log if the server has ended."""
        if self._guard.poll() is not None:
            raise SourceStopped(f"{self.name}: {self._ending()}; {self._log_end()}")

    def wait(self, beside: Sequence[Server] = ()) -> None:
        """Wait until it answers. Raise SourceStopped if that takes too long, or if it or one `beside` it ends."""
        began_at = said_at = time.monotonic()
        while not self._unwanted.is_set():
            with suppress(OSError), _DIRECT.open(self.base_url.removesuffix("/v1") + "/health", timeout=2):
                return
            for server in (self, *beside):
                server.check_alive()
            now = time.monotonic()
            if now - began_at > self._launch.start_timeout_s:
                limit = f"{self._launch.start_timeout_s:g} s (start_timeout_s)"
                raise SourceStopped(f"{self.name}: its server did not answer within {limit}; {self._log_end()}")
            if now - said_at > LINE_EVERY_S:
                said_at = now
                self._say(f"{self.name}: starting for {now - began_at:.0f} s; {self._last_line()}")
            self._unwanted.wait(0.2)

    def keep(self) -> None:
        """Restart the server when it dies, from now on."""
        self._keeper.start()

    def dismiss(self) -> None:
        """Tell the guard to end the server; return at once."""
        with self._starting:
            self._unwanted.set()
            self._close_pipe()

    def gone(self) -> None:
        """Wait until nothing is left of a server that was dismissed."""
        try:
            self._guard.wait(2 * guard.STOP_S + 5.0)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._end_rest()
        if self._keeper.is_alive():
            self._keeper.join()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the guard with the server below it. The pipe to the guard closes with this process, however that ends."""
        launch = self._launch
        with self.log.open("ab") as file:
            self._log_start = file.tell()
            file.write(f"datakit: {time.strftime('%Y-%m-%d %H:%M:%S')} starts {shlex.join(launch.command)}\n".encode())
            file.flush()
            return subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, *launch.command],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**launch.environment, MARK: mark(self.log)},
                start_new_session=True,
            )

    def _keep(self) -> None:
        """Restart a server that has died, up to `restarts` times; then it is in trouble for good."""
        for done in range(self._launch.restarts + 1):
            self._guard.wait()
            self._end_rest()
            ending = self._ending()
            if done < self._launch.restarts:
                count = f"restart {done + 1} of {self._launch.restarts}"
                self._say_unless_dismissed(f"{self.name}: {ending}; {count}; {self._last_line()}")
                if not self._start_again():
                    return
        if not self._unwanted.is_set():
            self._trouble = f"{ending}; no restarts left (restarts: {self._launch.restarts}); {self._log_end()}"

    def _start_again(self) -> bool:
        """Start the server and wait until it answers or ends (a hanging one is ended). Return False if it is not wanted now."""
        try:
            with self._starting:
                if self._unwanted.is_set():
                    return False
                self._guard = self._start()
            self.wait()
        except OSError as error:  # no space for its log, no process left
            self._trouble = f"its server cannot be started again: {error}"
            return False
        except SourceStopped as error:
            if self._guard.poll() is None:
                self._say_unless_dismissed(str(error))
                self._close_pipe()
        else:
            self._say_unless_dismissed(f"{self.name}: its server answers again", warning=False)
        return True

    def _say_unless_dismissed(self, text: str, warning: bool = True) -> None:
        if not self._unwanted.is_set():
            self._say(text, warning)

    def _end_rest(self) -> None:
        """End what is left when a guard was killed itself."""
        if self._guard.returncode < 0:
            own = mark(self.log)
            end_marked(lambda marked: marked == own)

    def _close_pipe(self) -> None:
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def _ending(self) -> str:
        status = self._guard.returncode
        if status < 0:
            return f"the guard of its server was killed by {signal.Signals(-status).name}"
        if status - 128 not in signal.valid_signals():
            return f"its server ended (exit status {status})"
        name = signal.Signals(status - 128).name
        return f"its server was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")

    def _log_end(self) -> str:
        """Return the end of the log, after earlier lines that mention an error (a command line's error precedes its help)."""
        said = self._said()
        errors = [line for line in said[:-_LINES_SHOWN] if "error" in line.lower()][-3:]
        shown = [*errors, *(["..."] if errors else []), *said[-_LINES_SHOWN:]]
        return f"its log {self.log} ends:\n" + "\n".join(f"  {line}" for line in shown)

    def _last_line(self) -> str:
        lines = [line for line in self._said() if line.strip()]
        return f"its log {self.log} ends: {lines[-1].strip()[:200]}" if lines else f"its log is {self.log}"

    def _said(self) -> list[str]:
        """Return the last lines of the log that the current, or the last, process wrote."""
        with self.log.open("rb") as file:
            file.seek(max(self._log_start, file.seek(0, os.SEEK_END) - _LOG_END))
            return file.read().decode("utf-8", "replace").splitlines()
