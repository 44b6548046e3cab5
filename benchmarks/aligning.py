"""Aligning a teacher's tokens with a target's, by bytes against time warping; and the memory of sparse against dense targets.

    python benchmarks/aligning.py                       # a minute; --texts 100 --vocabulary 151936 --places 1024

Texts are the worked answers of data/math, the target's tokens those of data/micro/target, the teachers' those of four other
micro models. Time warping is our implementation of FuseChat's alignment (arXiv 2408.07990, section 3): dynamic time warping of
the decoded tokens with the edit distance as cost; a pair counts if one token, or a run of them, ends with the other's text. An
alignment is right if both rows follow the same bytes. Times are processor seconds, both ways in turns; the ratio is the median
over the teachers. Memory is the peak of a separate process minus its peak before the loss and its gradient.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from train.align import Tokens, shared, tokens_of
from train.spelling import Vocabulary, token_bytes

ROOT = Path(__file__).resolve().parents[1]
MICRO = ROOT / "data" / "micro"
TARGET, TEACHERS = "target", ("llama", "qwen2", "mistral", "gemma2")
BYTES_AGAIN = 200
"""Repetitions of the fast way, so that its time can be measured."""


class Pair(NamedTuple):
    """The tokens of a text in both vocabularies."""

    ours: Tokens
    theirs: Tokens


class Found(NamedTuple):
    """The result of one way: places per second, and the shares of the target's places that are aligned, and correctly so."""

    speed: float
    aligned: float
    right: float


def main() -> None:
    asked = _arguments()
    if asked.loss:
        print(_peak(asked.loss, asked.vocabulary, asked.places))
        return
    texts = [json.loads(line)["solution"].strip() for line in (ROOT / "data/math/problems.jsonl").read_text().splitlines()]
    ours = _tokenizer(TARGET)
    ratios = []
    print("| teacher | places | by | aligned | rightly | places a CPU second |\n| --- | ---: | --- | ---: | ---: | ---: |")
    for teacher in TEACHERS:
        theirs = _tokenizer(teacher)
        pairs = [Pair(_tokens(*ours, text), _tokens(*theirs, text)) for text in texts[: asked.texts]]
        places = sum(len(pair.ours.ids) for pair in pairs)
        for name, found in (
            ("bytes", by_bytes(pairs, places)),
            ("time warping", by_warping(pairs, ours[1], theirs[1], places)),
        ):
            print(
                f"| {teacher} | {places:,} | {name} | {found.aligned:.1%} | {found.right:.1%} | {found.speed:,.0f} |",
                flush=True,
            )
            ratios.append(found.speed)
    quicker = statistics.median(ratios[at] / ratios[at + 1] for at in range(0, len(ratios), 2))
    print(f"\nby bytes {quicker:,.0f} times as quick (median)\n")
    peaks = {loss: _peak_of(loss, asked.vocabulary, asked.places) for loss in ("sparse", "dense")}
    print(f"loss and gradient of {asked.places:,} places at a vocabulary of {asked.vocabulary:,}: " + ", ".join(
        f"{loss} targets {peak:,.0f} MB" for loss, peak in peaks.items()
    ) + f" ({peaks['dense'] / peaks['sparse']:.1f} times)")  # fmt: skip


def by_bytes(pairs: Sequence[Pair], places: int) -> Found:
    """Measure train's own alignment. It is always right: aligned rows follow the same bytes."""
    began = time.process_time()
    for _ in range(BYTES_AGAIN):
        found = [list(shared(*pair)) for pair in pairs]
    took = (time.process_time() - began) / BYTES_AGAIN
    right = sum(
        pair.ours.start(at) == pair.theirs.start(other) for pair, rows in zip(pairs, found, strict=True) for at, other in rows
    )
    return Found(places / took, sum(map(len, found)) / places, right / places)


def by_warping(pairs: Sequence[Pair], ours: Vocabulary, theirs: Vocabulary, places: int) -> Found:
    """Measure FuseChat's alignment. Row i predicts the token after token i, so tokens that end alike have matching rows."""
    began = time.process_time()
    found = [_accepted(_spelt(pair.ours, ours), _spelt(pair.theirs, theirs)) for pair in pairs]
    took = time.process_time() - began
    right = sum(
        pair.ours.ends[at] == pair.theirs.ends[other] for pair, rows in zip(pairs, found, strict=True) for at, other in rows
    )
    return Found(places / took, sum(map(len, found)) / places, right / places)


def _accepted(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of places that time warping matches and of which one ends with the other's text, one per place of ours."""
    steps = _warp(ours, theirs)
    accepted = []
    for at, own in enumerate(ours):
        others = [other for mine, other in steps if mine == at]
        if len(others) == 1:
            fits = theirs[others[0]].endswith(own) or own.endswith(theirs[others[0]])
            chosen = others[0] if fits else None
        else:
            one = next((other for other in others if theirs[other].endswith(own)), None)
            spelt = "".join(theirs[other] for other in others)
            chosen = one if one is not None else others[-1] if spelt.endswith(own) else None
        if chosen is not None:
            accepted.append((at, chosen))
    return accepted


def _warp(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Return the path with the least sum of edit distances, by dynamic time warping."""
    far = float("inf")
    table = [[far] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    table[0][0] = 0.0
    for at, own in enumerate(ours, start=1):
        for other, their in enumerate(theirs, start=1):
            before = min(table[at - 1][other - 1], table[at - 1][other], table[at][other - 1])
            table[at][other] = before + edit_distance(own, their)
    at, other, path = len(ours), len(theirs), []
    while at and other:
        path.append((at - 1, other - 1))
        steps = (
            (table[at - 1][other - 1], at - 1, other - 1),
            (table[at - 1][other], at - 1, other),
            (table[at][other - 1], at, other - 1),
        )
        _, at, other = min(steps)
    return path[::-1]


def edit_distance(one: str, other: str) -> int:
    """Return the number of insertions, deletions and replacements of single letters between two texts."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        last, row[0] = row[0], at
        for place, their in enumerate(other, start=1):
            last, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, last + (letter != their))
    return row[-1]


def _spelt(tokens: Tokens, vocabulary: Vocabulary) -> list[str]:
    """Decode each token separately, as strings are compared there: parts of characters cannot be distinguished."""
    return [(vocabulary[id] or b"").decode("utf-8", errors="replace").strip() or " " for id in tokens.ids]


def _tokenizer(name: str) -> tuple[Tokenizer, Vocabulary]:
    path = MICRO / name / "tokenizer.json"
    return Tokenizer.from_file(str(path)), token_bytes(json.loads(path.read_text(encoding="utf-8")))


def _tokens(tokenizer: Tokenizer, vocabulary: Vocabulary, text: str) -> Tokens:
    return tokens_of(tokenizer.encode(text, add_special_tokens=False).ids, vocabulary, text.encode())[1]


# -------------------------------------------------------------------------------------------------------------------- memory


def _peak_of(loss: str, vocabulary: int, places: int) -> float:
    """Return the megabytes of `_peak`, measured in a separate process."""
    command = [sys.executable, __file__, "--loss", loss, "--vocabulary", vocabulary, "--places", places]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return float(done.stdout)


def _peak(loss: str, vocabulary: int, places: int) -> float:
    """Return the megabytes that the loss and its gradient need beside the logits (bfloat16), after a small warm-up."""
    _learn(loss, 32, 8)
    return _learn(loss, vocabulary, places)


def _learn(loss: str, vocabulary: int, places: int) -> float:
    import torch

    from train.fuse import fusion_losses

    logits = torch.randn(places, vocabulary, dtype=torch.bfloat16).requires_grad_()
    ids, gold = torch.randint(vocabulary, (places, 10)), torch.randint(vocabulary, (places,))
    probabilities = torch.rand(places, 10).softmax(-1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before = _high()
    if loss == "sparse":
        own, soft, _ = fusion_losses(logits, gold, ids, probabilities)
        (0.9 * own + 0.1 * soft).mean().backward()
    else:
        dense = torch.zeros(places, vocabulary).scatter(1, ids, probabilities)
        likely = logits.float().log_softmax(-1)
        (0.9 * -likely.gather(1, gold[:, None])[:, 0] + 0.1 * -(dense * likely).sum(-1)).mean().backward()
    return _high() - before


def _high() -> float:
    """Return the peak memory of this process in megabytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100, help="how many")
    parser.add_argument("--vocabulary", type=int, default=151_936, help="of the memory's loss: Qwen2's")
    parser.add_argument("--places", type=int, default=1024, help="of the memory's loss")
    parser.add_argument("--loss", choices=("sparse", "dense"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
