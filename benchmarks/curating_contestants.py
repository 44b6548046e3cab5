"""One contestant of benchmarks/curating.py as a process: reads prompts, prints one JSON object. All use the same tokens."""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl

NEAR, N, PERMUTATIONS, BATCH = 0.7, 3, 128, 10_000


def read(path: Path) -> pl.DataFrame:
    with path.open(encoding="utf-8") as file:
        texts = [json.loads(line) for line in file]
    return pl.DataFrame({"text": texts}).with_row_index("number")


def with_tokens(frame: pl.DataFrame) -> pl.DataFrame:
    """Add tokens with datakit's own module, loaded by its path because the peers' environment has no datakit."""
    place = Path(__file__).parents[1] / "datakit" / "curate" / "texts.py"
    spec = importlib.util.spec_from_file_location("texts", place)
    assert spec is not None and spec.loader is not None
    texts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(texts)
    return frame.with_columns(tokens=texts.tokens(pl.col("text")))


def shingles(words: list[str]) -> set[str]:
    return {" ".join(words[at : at + N]) for at in range(len(words) - N + 1)}


def datakit(path: Path) -> Any:
    from datakit.curate.duplicates import Comparison
    from datakit.curate.texts import tokens
    from datakit.recipe.curate import Duplicates

    frame = read(path)
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(Duplicates(exact=False, near=NEAR), Path(folder), "instruct", verified=False)
        for at in range(0, frame.height, BATCH):
            batch = frame[at : at + BATCH].with_columns(tokens=tokens(pl.col("text")), reference_digest=pl.lit(""))
            comparison.add(batch)
        twins = comparison.near([])
        pairs = comparison.pairs().select("met", "number").rows()
        comparison.close()
    return {"pairs": pairs, "found": len(twins)}


def items(path: Path, data: Path) -> Any:
    from curating_texts import items as benchmark_items

    from datakit.curate.decontaminate import Benchmarks
    from datakit.curate.texts import tokens
    from datakit.recipe.curate import Decontaminate

    frame = read(path)
    there = [item for found in benchmark_items(data).values() for item in found]
    benchmarks = Benchmarks.of(Decontaminate.model_validate({"against": ["x"]}), there, "instruct")
    met = []
    for at in range(0, frame.height, BATCH):
        batch = frame[at : at + BATCH].with_columns(
            tokens=tokens(pl.col("text")), reference=pl.lit(None, pl.String), entry_point=pl.lit(None, pl.String)
        )
        met += [one for one in benchmarks.meet(batch) if one.reason.startswith("contaminated")]
    return {"found": len({one.number for one in met})}


def exact(path: Path) -> Any:
    """Find every pair by an inverted index over all shingles and the true similarity: slow, independent of datakit's
    filters."""
    index: dict[str, list[int]] = defaultdict(list)
    sets = []
    for number, words in enumerate(with_tokens(read(path))["tokens"].to_list()):
        sets.append(shingles(words))
        for shingle in sets[-1]:
            index[shingle].append(number)
    pairs = []
    for number, own in enumerate(sets):
        shared: dict[int, int] = defaultdict(int)
        for shingle in own:
            for other in index[shingle]:
                if other >= number:
                    break
                shared[other] += 1
        pairs += [
            (other, number)
            for other, n_both in shared.items()
            if n_both >= NEAR * (len(own) + len(sets[other]) - n_both) - 1e-9
        ]
    return {"pairs": pairs}


def datasketch(path: Path) -> Any:
    from datasketch import MinHash, MinHashLSH

    lsh, pairs = MinHashLSH(threshold=NEAR, num_perm=PERMUTATIONS), []
    words = with_tokens(read(path))["tokens"].to_list()
    sets = [[shingle.encode() for shingle in shingles(one)] for one in words]
    for number, signature in enumerate(MinHash.generator(sets, num_perm=PERMUTATIONS)):
        if sets[number]:
            pairs += [(other, number) for other in lsh.query(signature)]
            lsh.insert(number, signature, check_duplication=False)
    return {"pairs": pairs}


def rensa(path: Path) -> Any:
    from rensa import RMinHash, RMinHashLSH

    lsh, pairs = RMinHashLSH(threshold=NEAR, num_perm=PERMUTATIONS, num_bands=32), []
    for number, words in enumerate(with_tokens(read(path))["tokens"].to_list()):
        found = list(shingles(words))
        if found:
            signature = RMinHash(num_perm=PERMUTATIONS, seed=1)
            signature.update(found)
            pairs += [(other, number) for other in lsh.query(signature)]
            lsh.insert(number, signature)
    return {"pairs": pairs}


if __name__ == "__main__":
    contestant, arguments = globals()[sys.argv[1]], map(Path, sys.argv[2:])
    said = contestant(*arguments)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**said, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1e3}))
