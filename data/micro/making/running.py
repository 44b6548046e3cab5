"""Run the answers' programs against their tests, in one worker process with limits on memory, files and time."""

from __future__ import annotations

import json
import re
import resource
import select
import signal
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 0.5  # of processor time, for one program
PATIENCE = 20.0  # seconds until a silent worker is replaced
FENCED = re.compile(r"```(?:python)?\n(.*?)(?:```|\Z)", re.DOTALL)


class Worker:
    """A process that reads a program and its tests as one JSON line, and writes how many of the tests hold as another."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, code: str, tests: Sequence[str]) -> int:
        """Return how many tests hold; 0 if the worker died or hung and had to be replaced."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen([sys.executable, "-I", __file__], text=True, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
        self.process.stdin.write(json.dumps([code, list(tests)]) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return int(line)
        self.process.kill()
        self.process.wait()
        return 0


WORKER = Worker()


@cache
def passed(code: str, tests: tuple[str, ...]) -> int:
    return WORKER.ask(code, tests)


def code_of(text: str) -> str:
    """Return the program in an answer: the first fenced block, or without one everything from the first `def` on."""
    block = FENCED.search(text)
    return block.group(1) if block else text[max(0, text.find("def ")) :]


def count(code: str, tests: list[str]) -> int:
    """Return how many tests hold in time; runs in the worker."""
    space: dict[str, object] = {}
    held = 0
    try:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        exec(code, space)
        for test in tests:
            held += holds(test, space)
    except Exception:  # noqa: BLE001 - a program that fails passes no further test
        pass
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return held


def holds(test: str, space: dict[str, object]) -> bool:
    try:
        exec(test, space)
    except TimeoutError:
        raise
    except Exception:  # noqa: BLE001 - whatever it raises, the test does not hold
        return False
    return True


def stop(*_: object) -> None:
    raise TimeoutError


def serve() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGPROF, stop)
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        answers.write(f"{count(*json.loads(line))}\n")
        answers.flush()


if __name__ == "__main__":
    serve()
