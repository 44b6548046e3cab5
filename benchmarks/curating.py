"""What curation finds and costs, compared with published rules and other libraries. See benchmarks/README.md.

python benchmarks/curating.py rules                          recall and flags of rules and thresholds, planted changes
python benchmarks/curating.py items [--n 100000]             decontaminating n prompts: processor seconds and memory
python benchmarks/curating.py duplicates --peers PYTHON      near duplicates beside datasketch and rensa, and exact ones
python benchmarks/curating.py growth --n 30000 100000 ...    how cost grows
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
RUNNER = Path(__file__).with_name("curating_contestants.py")
DATA = Path(os.environ.get("DATAKIT_TEST_DATA", ROOT.parent / "shared" / "data"))


def run(python: str, *arguments: object) -> dict[str, Any]:
    """Run one contestant in a separate process. Return what it found, its processor seconds and its peak memory."""
    command = [python, str(RUNNER), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rules(plantings: int) -> None:
    """Print a table of rules and thresholds over planted changes."""
    from curating_rules import GROUP_NAMES, measure

    table = Table("rule", *("wrapped", "other numbers", "5 % words", "10 % words", "20 % words"), "flagged")
    for name, recall, flagged in measure(DATA, plantings):
        table.add_row(name, *(_percents(recall[change]) for change in recall), f"{flagged:,}")
    Console(width=150).print(table)
    Console().print(f"recall in % of {' / '.join(GROUP_NAMES)}; flagged: of the prompts that were not planted")


def _percents(shares: list[float]) -> str:
    return "/".join(f"{share:.0%}".removesuffix("%") for share in shares)


def items(n: int) -> None:
    """Measure the decontamination of n prompts against all benchmarks."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_prompts(Path(folder), n)
        found = run(sys.executable, "items", path, DATA)
    print(f"{n:,} prompts: {found['cpu_s']:.1f} CPU s, {found['peak_mb']:,.0f} MB, {found['found']:,} contaminated")


def duplicates(n: int, peers: str | None, repeat: int) -> None:
    """Measure how every contestant, in turns, finds the near duplicates among n prompts."""
    contestants = {"datakit": (sys.executable, "datakit")}
    if peers is not None:
        contestants |= {name: (peers, name) for name in ("datasketch", "rensa")}
    with tempfile.TemporaryDirectory() as folder:
        path = write_prompts(Path(folder), n)
        exact = run(sys.executable, "exact", path)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
        for turn in range(repeat):
            for name in list(contestants)[:: -1 if turn % 2 else 1]:
                runs[name].append(run(contestants[name][0], contestants[name][1], path))
    table = Table("", "CPU s", "MB", "ratio to datakit", "pairs", "of them true", "true pairs found")
    true = {tuple(pair) for pair in exact["pairs"]}
    ours = [one["cpu_s"] for one in runs["datakit"]]
    for name, done in runs.items():
        pairs = {tuple(pair) for pair in done[0]["pairs"]}
        times = [one["cpu_s"] for one in done]
        ratios = sorted(theirs / own for theirs, own in zip(times, ours, strict=True))
        table.add_row(
            name,
            f"{sorted(times)[len(times) // 2]:.1f}",
            f"{max(one['peak_mb'] for one in done):,.0f}",
            f"{ratios[len(ratios) // 2]:.2f}",
            f"{len(pairs):,}",
            f"{len(pairs & true) / max(len(pairs), 1):.1%}",
            f"{len(pairs & true) / max(len(true), 1):.1%}",
        )
    Console(width=120).print(table)


def growth(sizes: list[int]) -> None:
    """Measure both at several sizes."""
    table = Table("prompts", "items: CPU s", "MB", "near duplicates: CPU s", "MB", "pairs")
    with tempfile.TemporaryDirectory() as folder:
        for n in sizes:
            path = write_prompts(Path(folder), n)
            by_items, near = run(sys.executable, "items", path, DATA), run(sys.executable, "datakit", path)
            row = [by_items["cpu_s"], by_items["peak_mb"], near["cpu_s"], near["peak_mb"], len(near["pairs"])]
            table.add_row(f"{n:,}", *(f"{value:,.1f}" if at in (0, 2) else f"{value:,.0f}" for at, value in enumerate(row)))
            path.unlink()
    Console(width=100).print(table)


def write_prompts(folder: Path, n: int) -> Path:
    """Write n prompts, one JSON string per line."""
    from curating_texts import prompts

    path = folder / f"prompts-{n}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(text, ensure_ascii=False) + "\n" for text in prompts(DATA, n))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rules", "items", "duplicates", "growth"))
    parser.add_argument("--n", type=int, nargs="*", default=[100_000])
    parser.add_argument("--peers", help="an interpreter with datasketch, rensa and polars")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--plantings", type=int, default=3)
    given = parser.parse_args()
    match given.what:
        case "rules":
            rules(given.plantings)
        case "items":
            items(given.n[0])
        case "duplicates":
            duplicates(given.n[0], given.peers, given.repeat)
        case "growth":
            growth(given.n)


if __name__ == "__main__":
    main()
