"""How fast conversations are scored, against the usual ways, in one run on one machine: only the ratios carry over to other
machines.

    python benchmarks/scoring.py speed [--rows N] [--repeat N] [--mixes instruct,code] [--models armorm,classifier]
    python benchmarks/scoring.py bfloat16 [--rows N]      what bfloat16 does to the scores, and to the pairs
    python benchmarks/scoring.py memory [--rows N,N]      the score stage over few and over many rows
    python benchmarks/scoring.py large [--device cuda:0]  an ArmoRM of 8B random parameters, for a GPU

See benchmarks/README.md for what is compared, and the results.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from scoring_models import DATA, TINY, load_model, make_classifier, make_large_armorm
from timing import Row, interleaved, ratio, read_rows, show

from datakit.rewards.local.conversations import Tokens
from datakit.rewards.local.protocol import LocalModel
from datakit.rewards.selfcheck import describe
from datakit.tables import Messages

MIXES = ("instruct", "instruct_scored", "math", "code", "chinese", "short and long")
MAX_TOKENS = 4096
ROWS = {"armorm": 320, "classifier": 64}


def main() -> int:
    """Run one subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    speed = parts.add_parser("speed")
    speed.add_argument("--rows", type=int, help=f"conversations of each mix, taken evenly; by default {ROWS}")
    speed.add_argument("--repeat", type=int, default=5)
    speed.add_argument("--mixes", type=lambda text: text.split(","), default=MIXES)
    speed.add_argument("--models", type=lambda text: text.split(","), default=list(ROWS))
    speed.add_argument("--threads", type=int, help="of torch; by default one a core")
    speed.add_argument("--cpu-time", action="store_true", help="count processor time: for a machine that other work keeps busy")
    speed.set_defaults(run=compare_speed)
    bfloat16 = parts.add_parser("bfloat16")
    bfloat16.add_argument("--rows", type=int, help="responses, taken evenly; by default all")
    bfloat16.set_defaults(run=compare_dtypes)
    memory = parts.add_parser("memory")
    memory.add_argument("--rows", type=lambda text: [int(n) for n in text.split(",")], default=[2_000, 20_000, 100_000])
    memory.add_argument("--one", type=int, help=argparse.SUPPRESS)
    memory.set_defaults(run=compare_memory)
    large = parts.add_parser("large")
    large.add_argument("--device", default="cuda:0")
    large.add_argument("--rows", type=int, default=2_000, help="conversations of instruct, taken evenly")
    large.add_argument("--repeat", type=int, default=3)
    large.add_argument("--layers", type=int, default=32)
    large.add_argument("--hidden", type=int, default=4_096)
    large.add_argument("--peak", type=float, default=989.0, help="dense bfloat16 of the card, TFLOP/s; an H100 SXM has 989")
    large.set_defaults(run=compare_large)
    options = parser.parse_args()
    options.run(options)
    return 0


# --------------------------------------------------------------------------------------------------------------- speed


def compare_speed(options: argparse.Namespace) -> None:
    """Compare every mix with every model; all contestants score the same conversations and must agree."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.models:
            path = TINY if kind == "armorm" else make_classifier(Path(folder))
            model = load_model(kind, path, MAX_TOKENS)
            for mix in options.mixes:
                talks = conversations(mix, options.rows or ROWS[kind])
                scores: dict[str, list[float | None]] = {}
                seconds = interleaved(contestants(model, talks, scores, clock), options.repeat)
                show(f"{kind}, {mix}", seconds, len(talks))
                better = min((seconds[name] for name in seconds if name != "datakit"), key=statistics.median)
                print(f"datakit to the better of the two others: {ratio(better, seconds['datakit']):.2f}; ", end="")
                print(f"largest difference to one by one: {largest_difference(scores):.1e}", flush=True)


def conversations(mix: str, rows: int) -> list[Messages]:
    """Return real conversations; "short and long" is half the shortest of chinese, half the longest of instruct_scored,
    shuffled."""
    if mix == "short and long":
        short = sorted(read("chinese", None), key=lambda row: len(row["response"]))[: rows // 2]
        long = sorted(read("instruct_scored", None), key=lambda row: -len(row["response"]))[: rows - len(short)]
        mixed = short + long
        random.Random(0).shuffle(mixed)
        return [conversation(row) for row in mixed]
    return [conversation(row) for row in read(mix, rows)]


def read(name: str, rows: int | None) -> list[Row]:
    return read_rows(DATA / "responses" / f"{name}.jsonl.gz", rows)


def conversation(row: Row) -> Messages:
    return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]


def contestants(
    model: LocalModel, talks: list[Messages], scores: dict[str, list[float | None]], clock: Callable[[], float]
) -> dict[str, Callable[[], float]]:
    """Return the contestants, each from conversations in memory to all scores; the model is loaded already."""

    def timed(name: str, score: Callable[[LocalModel, list[Messages]], list[float | None]]) -> Callable[[], float]:
        def once() -> float:
            began_at = clock()
            scores[name] = score(model, talks)
            return clock() - began_at

        return once

    ways = {"batches of 16, given order": batches_of_16, "one by one": one_by_one, "datakit": ours}
    return {name: timed(name, score) for name, score in ways.items()}


def one_by_one(model: LocalModel, talks: list[Messages]) -> list[float | None]:
    """Score like SimPO's script: template, tokens and forward pass one conversation at a time."""
    return [score for messages in talks for score in _scored(model, [messages])]


def batches_of_16(model: LocalModel, talks: list[Messages]) -> list[float | None]:
    """Score like the usual script: sixteen at a time, in the given order, padded to the longest."""
    return [score for at in range(0, len(talks), 16) for score in _scored(model, talks[at : at + 16])]


def _scored(model: LocalModel, talks: list[Messages]) -> Iterator[float | None]:
    encoded = model.encode(talks)
    if any(getattr(row, "error", None) for row in encoded):  # longer than the limit: by itself
        for row in encoded:
            yield None if getattr(row, "error", None) else model.score_batch([row])[0].score
    else:
        yield from (score.score for score in model.score_batch(encoded))


def ours(model: LocalModel, talks: list[Messages]) -> list[float | None]:
    """Score like a build's worker: rows of similar length together, longest first."""
    order = sorted(range(len(talks)), key=lambda at: -sum(len(turn["content"].encode()) for turn in talks[at]))
    found = dict(zip(order, model.score([talks[at] for at in order]), strict=True))
    return [found[at].score for at in range(len(talks))]


def largest_difference(scores: dict[str, list[float | None]]) -> float:
    """Return the largest difference between any way and one by one."""
    alone = scores["one by one"]
    return max(
        abs(a - b) for found in scores.values() for a, b in zip(found, alone, strict=True) if a is not None and b is not None
    )


# -------------------------------------------------------------------------------------------------------------- bfloat16


def compare_dtypes(options: argparse.Namespace) -> None:
    """Compare bfloat16, batched and one by one, with float32: the scores, and the best and worst answer of each prompt."""
    rows = read("instruct", options.rows)
    talks = [conversation(row) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        for kind, path in (("armorm", TINY), ("classifier", make_classifier(Path(folder)))):
            some = talks if kind == "armorm" else talks[: len(talks) // 8]
            exact = ours(load_model(kind, path, MAX_TOKENS), some)
            half = load_model(kind, path, MAX_TOKENS, "bfloat16")
            for name, score in (("batched", ours), ("one by one", one_by_one)):
                print(f"{kind}, bfloat16 {name}: {compared(rows, score(half, some), exact)}", flush=True)


def compared(rows: list[Row], scores: list[float | None], exact: list[float | None]) -> str:
    both = [(a, b) for a, b in zip(scores, exact, strict=True) if a is not None and b is not None]
    differences = describe([abs(a - b) for a, b in both])
    return f"{len(both):,} rows: {differences}; {changed_pairs(rows, scores, exact):.1%} of pairs change"


def changed_pairs(rows: list[Row], scores: list[float | None], exact: list[float | None]) -> float:
    """Return how many prompts with two or more scored answers have another best or worst one."""
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row, a, b in zip(rows, scores, exact, strict=False):
        if a is not None and b is not None:
            groups[row["prompt_id"]].append((a, b))
    pairs = [group for group in groups.values() if len(group) > 1]
    changed = sum(_ends([a for a, _ in group]) != _ends([b for _, b in group]) for group in pairs)
    return changed / len(pairs) if pairs else math.nan


def _ends(values: list[float]) -> tuple[int, int]:
    return values.index(max(values)), values.index(min(values))


# ----------------------------------------------------------------------------------------------------------------- large


def compare_large(options: argparse.Namespace) -> None:
    """Compare tokens per second and the share of the GPU's peak, one by one against ours; then the effect of bfloat16."""
    rows = read("instruct", options.rows)
    talks = [conversation(row) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = make_large_armorm(Path(folder) / "armorm", options.layers, options.hidden)
        half = load_model("armorm", path, MAX_TOKENS, "bfloat16", options.device)
        lengths = [len(row.ids) for row in half.encode(talks) if isinstance(row, Tokens)]
        work = sum(floating_point_operations(json.loads((path / "config.json").read_text()), n) for n in lengths)
        scores: dict[str, list[float | None]] = {}
        ways = contestants(half, talks, scores, time.perf_counter)
        del ways["batches of 16, given order"]
        for name, seconds in interleaved(ways, options.repeat).items():
            median = statistics.median(seconds)
            print(
                f"{name}: {sum(lengths) / median:,.0f} tokens/s, {work / median / options.peak / 1e12:.1%} of the peak",
                flush=True,
            )
        del half, ways
        exact = ours(load_model("armorm", path, MAX_TOKENS, "float32", options.device), talks)
        for name in ("datakit", "one by one"):
            print(f"bfloat16 {name}: {compared(rows, scores[name], exact)}", flush=True)


def floating_point_operations(config: dict[str, int], n_tokens: int) -> float:
    """Return those of one conversation: two per parameter of a layer and token, plus the two products of causal attention."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    attention = hidden * config["head_dim"] * (2 * config["num_attention_heads"] + 2 * config["num_key_value_heads"])
    weights = attention + 3 * hidden * config["intermediate_size"]
    return layers * (2.0 * weights * n_tokens + 2.0 * hidden * n_tokens**2)


# ---------------------------------------------------------------------------------------------------------------- memory


def compare_memory(options: argparse.Namespace) -> None:
    """Measure the peak memory of the driver, in a separate process for each size."""
    if options.one:
        return score_many(options.one)
    for rows in options.rows:
        subprocess.run([sys.executable, __file__, "memory", "--one", str(rows)], check=True)
    return None


def score_many(n_rows: int) -> None:
    """Run the score stage over `n_rows` rows of 2,000 characters, with a worker that answers at once."""
    from scoring_rows import fill, start

    from datakit.engine.local import LocalEngine
    from datakit.score.local import chunks
    from datakit.score.missing import conversations, count_missing, stream_missing
    from datakit.store import Run

    with tempfile.TemporaryDirectory() as folder:
        filling = multiprocessing.get_context("spawn").Process(target=fill, args=(Path(folder) / "run", n_rows))
        filling.start()
        filling.join()
        if filling.exitcode:
            sys.exit(filling.exitcode)
        with Run.create(Path(folder) / "run") as run:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            n_missing, n_scored = count_missing(run, "judge", retry_failures=False), 0
            batches = (conversations(frame) for frame in stream_missing(run, "judge", retry_failures=False))
            for chunk in chunks(LocalEngine(1).map(start, batches, None), "judge"):
                run.journal("scores").append(chunk.scores)
                n_scored += len(chunk.scores)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{n_scored:,} of {n_missing:,} rows scored: peak {peak:,} MB, before the stage {before:,} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
