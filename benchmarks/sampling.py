"""How fast samples come in, against a plain loop and two other tools, in one run on one machine: only the ratios carry over to
other machines.

    python benchmarks/sampling.py [--prompts N] [--repeat N] [--peers distilabel=PYTHON curator=PYTHON]
    python benchmarks/sampling.py --memory       datakit's peak memory at 10,000 and at 100,000 prompts
    python benchmarks/sampling.py --million      a million prompts, one short sample each

Every contestant is a process of its own, from its start to its end, that asks the fake endpoint of the tests (another process)
for five choices of 800 characters per prompt. Exit status 1 if a response is missing at the end. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import polars as pl
from measuring import Measured, endpoint, measure, write_prompts, write_recipe
from rich.console import Console
from rich.table import Table
from timing import interleaved

N = 5
SETTINGS = {  # title: the endpoint's options, and how many requests are in flight
    "no latency": (["--n-chars", "800"], 128),
    "300 ms, lognormal": (["--n-chars", "800", "--latency-ms", "300", "--lognormal"], 512),
}
PEERS = {"distilabel": 2000, "curator": 512}
"""Their best settings: distilabel's batch, which is requested at once; curator's requests in flight."""


def main() -> int:
    """Run the measurements that the options select."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME=PYTHON", help="interpreters that have the other tools")
    parser.add_argument("--only", nargs="*", default=["plain", "datakit", "raw", *PEERS], help="these contestants")
    parser.add_argument("--memory", action="store_true", help="measure datakit's memory instead")
    parser.add_argument("--million", action="store_true", help="measure datakit over a million prompts instead")
    options = parser.parse_args()
    if options.memory:
        memory(N, ["--n-chars", "800"], [10_000, 100_000])
    elif options.million:
        memory(1, ["--n-chars", "40"], [1_000_000])
    else:
        for title, setting in SETTINGS.items():
            speed(title, setting, options)
    return 0


def speed(title: str, setting: tuple[list[str], int], options: argparse.Namespace) -> None:
    """Print one table: the contestants, taking turns."""
    peers = dict(peer.split("=", 1) for peer in options.peers)
    for name in set(options.only) & set(PEERS) - set(peers):
        print(f"{name} is left out; name the interpreter of an environment that has it: --peers {name}=PYTHON")
    names = [name for name in options.only if name not in PEERS or name in peers]
    runs: dict[str, list[Measured]] = {name: [] for name in names}

    def turn(name: str) -> float:
        runs[name].append(run(name, peers.get(name, sys.executable), setting, options.prompts, N))
        return runs[name][-1].seconds

    interleaved({name: partial(turn, name) for name in names}, options.repeat)
    show(f"{title}: {options.prompts:,} prompts x {N}, medians of {options.repeat}", runs, options.prompts * N)


def memory(n: int, knobs: list[str], sizes: list[int]) -> None:
    """Print one table: datakit at growing numbers of prompts, 128 requests in flight."""
    for n_prompts in sizes:
        measured = run("datakit", sys.executable, (knobs, 128), n_prompts, n)
        show(f"{n_prompts:,} prompts x {n}", {"datakit": [measured]}, n_prompts * n)


def run(name: str, python: str, setting: tuple[list[str], int], n_prompts: int, n: int) -> Measured:
    """Run one turn of one contestant against its own endpoint. Raise SystemExit if responses are missing."""
    knobs, in_flight = setting
    with tempfile.TemporaryDirectory() as name_of_folder, endpoint(*knobs) as url:
        folder = Path(name_of_folder)
        prompts, out = write_prompts(folder / "prompts.jsonl", n_prompts), folder / "out"
        if name == "datakit":
            recipe = write_recipe(folder / "recipe.yaml", url, prompts, n, in_flight)
            command = [python, "-m", "datakit", "build", "--recipe", recipe, "--out", out, "--until", "sample"]
        else:
            script = Path(__file__).with_name("sampling_contestants.py")
            command = [python, script, name, url, prompts, str(n), str(PEERS.get(name, in_flight)), out]
        measured = measure(command, url, folder / "log")
        if (got := count_responses(out)) != n_prompts * n:
            sys.exit(f"{name}: {got:,} responses, not {n_prompts * n:,}")
    return measured


def count_responses(out: Path) -> int:
    """Return how many responses a contestant stored: rows of datakit's run, or lines."""
    if out.is_dir():
        return int(pl.scan_parquet(out / "responses" / "part-*.parquet").select(pl.len()).collect().item())
    with out.open("rb") as file:
        return sum(1 for _ in file)


def show(title: str, runs: dict[str, list[Measured]], n_responses: int) -> None:
    """Print medians, and multiples of the first contestant's rates."""
    columns = ("", "s", "fastest - slowest", "responses/s", "ratio", "without start", "ratio", "peak MB", "processor s")
    table = Table(*columns, title=title)
    whole = {name: statistics.median(one.seconds for one in turns) for name, turns in runs.items()}
    asking = {name: statistics.median(one.asking_s for one in turns) for name, turns in runs.items()}
    first = next(iter(runs))
    for name, turns in runs.items():
        seconds = [one.seconds for one in turns]
        table.add_row(
            name,
            f"{whole[name]:.1f}",
            f"{min(seconds):.1f} - {max(seconds):.1f}",
            f"{n_responses / whole[name]:,.0f}",
            f"{whole[first] / whole[name]:.2f}",
            f"{n_responses / asking[name]:,.0f}",
            f"{asking[first] / asking[name]:.2f}",
            f"{max(one.peak_mb for one in turns):,.0f}",
            f"{statistics.median(one.cpu_s for one in turns):.1f}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    sys.exit(main())
