"""Where the processor time of a code verdict goes:  python benchmarks/profile_verdict.py [--rows N] [--data FILE]

Prints a line per process: microseconds per verdict, their share, and page faults (new pages and copies on write). First for a
program of one line, then for gold solutions of MBPP that need little time themselves.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path
from typing import NamedTuple

from timing import read_rows
from verifying_code import DATA, QUICK_S, own_time

from datakit.sandbox.runner import Limits, Sandbox

ONE = {"solution": "def f(n): return n + 1\n", "tests": "assert f(1) == 2\nassert f(2) == 3\nassert f(3) == 4"}
MOST = 450  # a tester that is replaced in between would count as a solver
_TICKS = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """Processor seconds and page faults."""

    seconds: float
    faults: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    n = min(options.rows, MOST)
    profile("a program of one line", [ONE] * n)
    profile("gold solutions of MBPP", [row for row in read_rows(options.data, n) if own_time(row) < QUICK_S])


def profile(title: str, rows: list[dict[str, str]]) -> None:
    """Run the rows in one sandbox, on one core, and print what its processes used."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with Sandbox(limits=Limits(timeout_s=10)) as sandbox:
        for _ in range(20):  # warm
            sandbox.check(ONE["solution"], ONE["tests"], "asserts")
        before = used(sandbox)
        passed = sum(sandbox.check(row["solution"], row["tests"], "asserts").outcome == "passed" for row in rows)
        after = used(sandbox)
    spent = {name: Used(now.seconds - then.seconds, now.faults - then.faults)
             for (name, now), then in zip(after.items(), before.values(), strict=True)}  # fmt: skip
    total = sum(one.seconds for one in spent.values())
    print(f"{title}: {1e6 * total / len(rows):,.0f} microseconds a verdict, {passed} of {len(rows)} passed")
    for name, one in spent.items():
        share, faults = 100 * one.seconds / total, one.faults / len(rows)
        print(f"  {name:<20}{1e6 * one.seconds / len(rows):8,.0f} {share:5.0f} % {faults:8.1f} page faults")


def used(sandbox: Sandbox) -> dict[str, Used]:
    """Return what each process has used so far; solvers and testers that ended are the zygote's children."""
    assert sandbox._warm is not None
    ours = resource.getrusage(resource.RUSAGE_SELF)
    zygote = sandbox._warm.process.pid
    fields = Path(f"/proc/{zygote}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    faults, faults_of_children, user, system = (int(fields[at]) for at in (7, 8, 13, 14))
    tester = int(Path(f"/proc/{zygote}/task/{zygote}/children").read_text(encoding="utf-8").split()[0])
    faults_of_tester = int(Path(f"/proc/{tester}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[7])
    return {
        "runner": Used(ours.ru_utime + ours.ru_stime, ours.ru_minflt),
        "zygote": Used(processor_s(zygote), faults),
        "solver": Used((user + system) / _TICKS, faults_of_children),
        "tester": Used(processor_s(tester), faults_of_tester),
    }


def processor_s(pid: int) -> float:
    return time.clock_gettime(~pid << 3 | 2)  # man 3 clock_getcpuclockid


if __name__ == "__main__":
    main()
