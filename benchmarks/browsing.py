"""`datakit browse` over many synthetic pairs: seconds to start, memory, and how long pages take over HTTP.

    python benchmarks/browsing.py --pairs 1000000 --folder runs/many      # the folder is made if it does not exist

Two imported answers per prompt, of 40 to 220 words, in 20 parts, with scores of two judges. A client requests the pages one at
a time over one connection, like a browser; the first page of each kind is listed separately, as it may start a search.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import psutil

from datakit.recipe import parse
from datakit.rewards.judges import judges
from datakit.store import Run, Tables
from datakit.store.parts import COMPARED_BY
from datakit.tables import TABLES
from datakit.tables.compared import COMPARED

ROOT = Path(__file__).parents[1]
PARTS = 20
MODELS = [f"org/model-{number}" for number in range(8)]
PROMPTS = """
SELECT printf('prompt/%07d', i) AS prompt_id, 'instruct' AS domain, 'synthetic' AS source,
    [{'role': 'user', 'content': concat('Question ', i, ': ', words(i, 20))}] AS messages,
    left(sha256('m' || i), 24) AS messages_digest, '' AS reference_digest, FALSE AS shares_messages
FROM range($first, $last) AS t(i)
"""
RESPONSES = """
SELECT make_id(i, k) AS response_id, printf('prompt/%07d', i) AS prompt_id, model_of(i) AS model, 'imported' AS sampling,
    k AS sample_index, words(2 * i + k + 7, 40 + hash(i, k) % 181) AS text,
    left(sha256('m' || i), 24) AS messages_digest, length(text) AS n_chars, md5_number_lower(text) AS text_hash
FROM range($first, $last) AS t(i), range(2) AS u(k)
"""
SCORES = """
SELECT make_id(i, k) AS response_id, judge, ((hash(i, k, judge) % 1000000) / 1000000)::DOUBLE AS score
FROM range($first, $last) AS t(i), range(2) AS u(k), (SELECT unnest(getvariable('judges')) AS judge)
"""


def make_run(folder: Path, pairs: int) -> None:
    """Make a run of `pairs` prompts, written as parts by DuckDB."""
    recipe = {
        "domain": "instruct",
        "sources": [{"type": "responses", "path": "x.jsonl", "judge": judge, "columns": {"text": "t", "prompt": "p"}}
                    for judge in ("given", "other")],
        "score": None,
        "select": {"judge": "given"},
    }  # fmt: skip
    with Run.create(folder) as run:
        parsed = parse(recipe, "synthetic", folder)
        names = list(judges(parsed))
        run.save_recipe(parsed)
        run.replace(
            "sources",
            TABLES["sources"].frame([{"model": m, "sampling": "imported", "type": "responses", "n": 2} for m in MODELS]),
        )
        run.replace("judges", TABLES["judges"].frame([{"judge": judge, "type": "imported"} for judge in names]))
    tables = Tables(lambda error: error)
    vocabulary = [f"{a}{b}{c}" for a in ("ka", "lo", "mi", "nu", "re", "sta", "tri", "vo")
                  for b in ("ba", "den", "fi", "go", "ler") for c in ("", "m", "s", "ta", "x")]  # fmt: skip
    tables.connection.execute("SET VARIABLE vocabulary = $words", {"words": vocabulary})
    tables.connection.execute("SET VARIABLE models = $models", {"models": MODELS})
    tables.connection.execute("SET VARIABLE judges = $names", {"names": names})
    tables.connection.execute(
        "CREATE MACRO words(seed, n) AS array_to_string([getvariable('vocabulary')[(1 + hash(seed, j) % "
        f"{len(vocabulary)})::BIGINT] FOR j IN range(n::BIGINT)], ' ')"
    )
    tables.connection.execute("CREATE MACRO model_of(i) AS getvariable('models')[(1 + hash(i) % 8)::BIGINT]")
    tables.connection.execute(
        "CREATE MACRO make_id(i, k) AS "
        "left(sha256(concat_ws(chr(31), left(sha256('m' || i), 24), model_of(i), '', 'imported', k)), 24)"
    )
    size = -(-pairs // PARTS)
    for table, query, whole in (("prompts", PROMPTS, True), ("responses", RESPONSES, False), ("scores", SCORES, False)):
        (folder / table).mkdir(exist_ok=True)
        spans = [(0, pairs)] if whole else [(at, min(at + size, pairs)) for at in range(0, pairs, size)]
        for number, (first, last) in enumerate(spans, start=0 if whole else 1):
            path = folder / table / f"part-{number:06d}.parquet"
            metadata = f", KV_METADATA {{'{COMPARED_BY}': '{COMPARED}'}}" if table == "responses" else ""
            missing = set(TABLES[table].schema) - set(tables.query(query + " LIMIT 0", {"first": 0, "last": 1}).columns)
            nulls = "".join(f", NULL::{_type(table, name)} AS {name}" for name in sorted(missing))
            tables.connection.execute(
                f"COPY (SELECT *{nulls} FROM ({query})) TO '{path}' (ROW_GROUP_SIZE 5000, COMPRESSION zstd{metadata})",
                {"first": first, "last": last},
            )
    tables.close()


def _type(table: str, name: str) -> str:
    kind = str(TABLES[table].schema[name])
    known = {"String": "VARCHAR", "Int64": "BIGINT", "Float64": "DOUBLE", "Boolean": "BOOLEAN", "UInt64": "UBIGINT"}
    return known.get(kind, "DOUBLE[]")


class Client:
    """A client with one kept connection, like a browser."""

    def __init__(self, address: str) -> None:
        self.host, _, query = address.removeprefix("http://").partition("/?")
        self.connection = http.client.HTTPConnection(self.host)
        self.cookie = ""
        self.connection.request("GET", f"/?{query}")
        answer = self.connection.getresponse()
        answer.read()
        self.cookie = (answer.getheader("set-cookie") or "").partition(";")[0]

    def get(self, path: str) -> tuple[float, str]:
        """Return the milliseconds until the whole page was read, and the page."""
        start = time.perf_counter()
        self.connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = self.connection.getresponse()
        page = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {page[:300]}")
        return 1000 * (time.perf_counter() - start), page


def measure(client: Client, server: psutil.Process, name: str, path: Callable[[int], str], times: int) -> None:
    """The first page of a kind, then the median and the 95th percentile of the others, and the processor time per page."""
    first = client.get(path(0))[0]
    before = sum(server.cpu_times()[:2])
    found = [client.get(path(at)) for at in range(1, times + 1)]
    cpu = 1000 * (sum(server.cpu_times()[:2]) - before) / times
    taken = sorted(ms for ms, _ in found)
    p95 = taken[min(len(taken) - 1, round(0.95 * len(taken)))]
    size = statistics.median(len(page) for _, page in found) / 1000
    print(f"| {name} | {first:.0f} | {statistics.median(taken):.0f} | {p95:.0f} | {cpu:.0f} | {size:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("runs/many"))
    parser.add_argument("--times", type=int, default=40)
    given = parser.parse_args()
    if not (given.folder / "scores").is_dir():
        make_run(given.folder, given.pairs)
    start, used = time.perf_counter(), [sys.executable, "-m", "datakit", "browse", str(given.folder)]
    server = subprocess.Popen(used, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    process = psutil.Process(server.pid)
    try:
        address = server.stdout.readline().strip() if server.stdout else ""
        times = process.cpu_times()
        print(f"start: {time.perf_counter() - start:.1f} s, {times.user + times.system:.1f} s of processors")
        print(f"memory after the start: {process.memory_info().rss / 2**20:.0f} MB")
        client, at_random = Client(address), random.Random(1)
        anchors = [at_random.randrange(given.pairs) for _ in range(given.times + 1)]
        print("\n| page | first, ms | median, ms | 95 %, ms | processor, ms | kB |\n| --- | --- | --- | --- | --- | --- |")
        measure(client, process, "the first page", lambda at: "/", given.times)
        measure(client, process, "a page anywhere", lambda at: f"/?after={anchors[at]}", given.times)
        rare = {"margin_low": 0.999, "source": MODELS[3]}
        measure(
            client,
            process,
            "a rare filter, any page of it",
            lambda at: f"/?{urlencode({**rare, 'after': anchors[at]})}",
            given.times,
        )
        measure(client, process, "by margin, anywhere", lambda at: f"/?sort=margin&descends=1&after={anchors[at]}", given.times)
        measure(client, process, "lineage", lambda at: f"/prompt?id=prompt/{anchors[at]:07d}", given.times)
        measure(
            client,
            process,
            "search, a word that is everywhere",
            lambda at: f"/?words=trilerx&after={anchors[at]}",
            given.times,
        )
        rare_words = f"Question {anchors[3]}:"
        began = time.perf_counter()
        measure(
            client,
            process,
            "search, a text that stands once",
            lambda at: f"/?{urlencode({'words': rare_words})}",
            given.times,
        )
        while "searched" in client.get(f"/?{urlencode({'words': rare_words})}")[1]:
            time.sleep(0.5)
        print(f"\nthat search was through after {time.perf_counter() - began:.1f} s")
        cpu = process.cpu_times()
        print(f"memory at the end: {process.memory_info().rss / 2**20:.0f} MB; {cpu.user + cpu.system:.0f} s of processors")
        print(json.dumps({"load": psutil.getloadavg()}))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
