"""A build on two nodes of a cluster whose hosts, nodes and driver are killed: is the dataset the one of a build left alone?

    python benchmarks/kill_cluster.py [--actors 8] [--nodes 6] [--drivers 6] [--seed N]

Programs whose tests wait for half a second, so that many seats fit on few cores, and a small reward model. The build left alone
runs on this machine, without a cluster. Kills come in random order at random amounts of work done, each with SIGKILL: a host; a
node, with everything on it or its raylet alone (another one joins); or the build itself, which is started again at once. Exit
status 1, with what is wrong, where a table differs in any column but the times, a row stands twice, a file is left over, a
process of a host outlives it, or a build ends with an error.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from kill import differences, left_over
from measuring import ROOT, environment

from datakit.tables import Row

sys.path.insert(0, str(ROOT))
from tests.helpers.nodes import Nodes, family_of, hosts, nodes

MODELS = 5
LAST = 0.95  # of the work: no kill comes later, so that all of them find a build
SCORING = 0.2  # of the kills come while answers are scored
PATIENCE_S = 60.0  # until what was killed is gone: a host whose raylet alone was killed has to find that out
TOLERANCE = 1e-6  # of scores: rows meet in other batches
LOOKS_EVERY_S = 0.2


@dataclass
class Story:
    """What became of the build that was killed."""

    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    said: list[str] = field(default_factory=list)
    """What each start wrote."""
    gone_s: list[float] = field(default_factory=list)
    """After each kill: seconds until nothing of the killed was left."""
    troubles: list[str] = field(default_factory=list)


def main() -> int:
    """The build left alone, the build that is killed, and what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, default=8)
    parser.add_argument("--nodes", type=int, default=6)
    parser.add_argument("--drivers", type=int, default=6)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seats", type=int, default=8, help="of each of the two nodes")
    parser.add_argument("--wait-s", type=float, default=0.5, help="what the tests of an answer wait")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(
        f"seed {options.seed}: {options.rows:,} answers whose tests wait {options.wait_s:g} s, 2 nodes of {options.seats} seats"
    )
    with tempfile.TemporaryDirectory() as folder:
        recipe = write_recipe(Path(folder), options)
        alone, killed = Path(folder) / "alone", Path(folder) / "killed"
        began_at = time.monotonic()
        if subprocess.run(command(recipe, alone), env=environment(), check=False).returncode != 0:
            sys.exit("the build left alone failed")
        print(f"left alone, here, it takes {time.monotonic() - began_at:.0f} s", flush=True)
        with nodes(2, options.seats, OMP_NUM_THREADS="1") as two:
            story = kill_often(two, command(recipe, killed, two.address), killed, options)
        troubles = [*story.troubles, *differences(alone, killed, TOLERANCE), *left_over(killed)]
    tell(story)
    print("\n".join(troubles) or "the dataset is the same, row for row, and nothing is left on a node")
    return 1 if troubles else 0


# ------------------------------------------------------------------------------------------------------------------ builds


def write_recipe(folder: Path, options: argparse.Namespace) -> Path:
    """Answers of which some pass and some fail, one in a hundred too long for the reward model."""
    rows: list[Row] = []
    for at in range(options.rows // MODELS):
        tests = f"import time\ntime.sleep({options.wait_s})\nassert f{at}(1) == {1 + at}"
        for model in range(MODELS):
            wrong = (at + model) % 3 == 0
            comment = "# " + "and so on " * (400 if (at * MODELS + model) % 100 == 7 else 1 + model)
            program = f"```python\n{comment}\ndef f{at}(x):\n    return x + {at + wrong}\n```"
            rows.append({"prompt": f"Write f{at}(x): x + {at}.", "tests": tests, "model": f"m{model}", "text": program})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reward = {"type": "armorm", "model": str(ROOT / "data" / "micro" / "code-reward"), "dtype": "float32", "devices": ["cpu"]}
    recipe = {
        "domain": "code",
        "sources": [{"type": "responses", "path": "rows.jsonl", "columns": {"reference": "tests"}}],
        "verify": {"workers": 2 * options.seats},
        "score": {**reward, "max_tokens": 256},
        "select": {"margin": None, "pairing": "any_source"},
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return path


def command(recipe: Path, out: Path, cluster: str | None = None) -> list[str]:
    where = ["--cluster", cluster] if cluster else []
    return [sys.executable, "-m", "datakit", "build", "--recipe", str(recipe), "--out", str(out), *where]


def kill_often(two: Nodes, build: list[str], run: Path, options: argparse.Namespace) -> Story:
    """Start the build, kill one thing after another, and let it come to its end."""
    chance, story = random.Random(options.seed), Story()
    kinds = ["actor"] * options.actors + ["node"] * options.nodes + ["driver"] * options.drivers
    chance.shuffle(kinds)
    process = start(build, story)
    for at, kind in zip(sorted(chance.uniform(0, LAST) for _ in kinds), kinds, strict=True):
        while process.poll() is None and share_done(run, options.rows) < at:
            time.sleep(LOOKS_EVERY_S)
        time.sleep(chance.uniform(0, 1.0))
        family = kill(kind, two, process, chance)
        if kind == "driver":
            ended(process, -signal.SIGKILL, story)
            process = start(build, story)
        see_go(kind, family, story)
        story.kills[kind] += 1
        print(f"{sum(story.kills.values())}. {kind}, when {at:.0%} was done; gone in {story.gone_s[-1]:.1f} s", flush=True)
    family = [one for host in hosts() for one in family_of(host)]
    ended(process, 0, story)
    see_go("build", family, story)
    return story


def start(build: list[str], story: Story) -> subprocess.Popen[str]:
    story.starts += 1
    return subprocess.Popen(
        build, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment()
    )


def ended(process: subprocess.Popen[str], expected: int, story: Story) -> None:
    """Hear a start's end."""
    _, said = process.communicate()
    story.said.append(said)
    if process.returncode != expected or "Traceback" in said:
        story.troubles.append(f"a start ended with exit status {process.returncode}, not {expected}:\n{said[-3000:]}")


def share_done(run: Path, n_rows: int) -> float:
    """How much of the work is stored: verdicts, and then scores."""
    return (1 - SCORING) * n_stored(run / "verdicts") / n_rows + SCORING * n_stored(run / "scores") / n_rows


def n_stored(table: Path) -> int:
    """Rows of a table's parts and journals; those of a journal that is just becoming a part may count twice."""
    import pyarrow.parquet as pq

    n = 0
    for path in table.glob("*"):
        try:
            n += pq.read_metadata(path).num_rows if path.suffix == ".parquet" else path.read_bytes().count(b'"response_id"')
        except FileNotFoundError:
            continue
    return n


def kill(kind: str, two: Nodes, build: subprocess.Popen[str], chance: random.Random) -> list[psutil.Process]:
    """Send SIGKILL to one of a kind; returns what must be gone for it."""
    if kind == "node":
        return two.replace(chance.randrange(2), whole=chance.random() < 0.5)
    while not (found := hosts()) and build.poll() is None:
        time.sleep(LOOKS_EVERY_S)
    if kind == "actor":
        host = chance.choice(sorted(found, key=lambda host: host.pid))
        family = family_of(host)
        host.kill()
        return family
    family = [one for host in found for one in family_of(host)]
    build.kill()
    return family


def see_go(kind: str, family: list[psutil.Process], story: Story) -> None:
    """Wait until all of these have ended."""
    began_at = time.monotonic()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
    story.gone_s.append(time.monotonic() - began_at)
    story.troubles += [f"{one} outlived its {kind}" for one in alive]


def tell(story: Story) -> None:
    """Numbers for a reader."""
    said = re.sub(r"\s+", " ", " ".join(story.said))
    lost, joined = len(re.findall(r"is lost \(", said)), len(re.findall(r"takes part, with", said))
    print(f"{dict(story.kills)}; {story.starts} starts; {lost} hosts lost, {joined} joined later")
    gone_s = sorted(story.gone_s)
    print(f"nothing left of what was killed after {gone_s[len(gone_s) // 2]:.1f} s (median), {gone_s[-1]:.1f} s (longest)")


if __name__ == "__main__":
    sys.exit(main())
