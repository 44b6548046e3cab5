"""Selection against the simplest query: processor time and memory by the number of answers, and the cost of a sweep.

python benchmarks/selecting.py [--rows 400000 1600000] [--turns 3] [--narrow 10000000] [--largest 40000000] [--plot growth.svg]

See benchmarks/README.md for what is measured, and the results.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from selecting_rows import Shape, write_run

ROOT = Path(__file__).parents[1]
MEASURED = """
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
# and not ru_maxrss, which remembers the process that began this one
[peak] = [int(line.split()[1]) * 1024 / 1e9 for line in open("/proc/self/status") if line.startswith("VmHWM")]
print("measured", used.ru_utime + used.ru_stime, peak)
"""
SOURCES = """
import duckdb
con = duckdb.connect()
con.execute("SET enable_progress_bar = false")
if MEMORY: con.execute(f"SET memory_limit = '{MEMORY}'")
answers = f"SELECT r.prompt_id, r.model, r.response_id, s.score, {LENGTH} n FROM " \\
    f"read_parquet('{RUN}/responses/*.parquet') r JOIN read_parquet('{RUN}/scores/*.parquet') s USING (response_id)"
"""
PLAINEST = (
    SOURCES
    + """
con.sql(f'''WITH a AS ({answers}), g AS (SELECT prompt_id, model, arg_max(response_id, score) c, arg_min(response_id, score) j,
max(score) - min(score) m, arg_max(n, score) cn, arg_min(n, score) jn FROM a GROUP BY ALL)
SELECT prompt_id, arg_max(struct_pack(model := model, c := c, j := j), m) p FROM g
WHERE m BETWEEN 0.01 AND 0.1 AND greatest(cn, jn) <= 1.5 * least(cn, jn) GROUP BY prompt_id''').pl()
"""
)
SAME_RULES = (
    SOURCES.replace("s.score,", "s.score, r.text_hash h,")
    + """
con.sql(f'''WITH a AS (SELECT * FROM ({answers}) WHERE isfinite(score)
QUALIFY row_number() OVER (PARTITION BY prompt_id, model, h ORDER BY response_id) = 1),
c AS (SELECT * FROM a QUALIFY row_number() OVER (PARTITION BY prompt_id, model ORDER BY score DESC, response_id) = 1),
j AS (SELECT * FROM a QUALIFY row_number() OVER (PARTITION BY prompt_id, model ORDER BY score, response_id) = 1)
SELECT prompt_id, c.model, c.response_id, j.response_id, c.score - j.score m FROM c JOIN j USING (prompt_id, model)
WHERE c.h <> j.h AND m BETWEEN 0.01 AND 0.1 AND greatest(c.n, j.n) <= 1.5 * least(c.n, j.n)
QUALIFY row_number() OVER (PARTITION BY prompt_id ORDER BY m DESC, c.response_id) = 1''').pl()
"""
)
PANDAS = """
import pandas as pd
a = pd.read_parquet(f"{RUN}/responses", columns=["response_id", "prompt_id", "model", "text"])
a = a.merge(pd.read_parquet(f"{RUN}/scores", columns=["response_id", "score"]), on="response_id")
a["n"] = a.pop("text").str.len()
by = a.groupby(["prompt_id", "model"])["score"]
best, worst = a.loc[by.idxmax()], a.loc[by.idxmin()]
pairs = best.merge(worst, on=["prompt_id", "model"], suffixes=("_c", "_j"))
pairs["m"] = pairs.score_c - pairs.score_j
low, high = pairs[["n_c", "n_j"]].min(axis=1), pairs[["n_c", "n_j"]].max(axis=1)
pairs = pairs[pairs.m.between(0.01, 0.1) & (high <= 1.5 * low)]
pairs = pairs.loc[pairs.groupby("prompt_id")["m"].idxmax()]
"""
SCRIPT = """
import pyarrow.parquet as pq
scores = dict(zip(*pq.read_table(f"{RUN}/scores", columns=["response_id", "score"]).to_pydict().values()))
prompts = {}
for row in pq.read_table(f"{RUN}/responses", columns=["response_id", "prompt_id", "model", "text"]).to_pylist():
    prompts.setdefault((row["prompt_id"], row["model"]), []).append(row)
pairs = {}
for (prompt, model), rows in prompts.items():  # as scripts that rank on-policy answers do: one loop over prompts
    ranked = sorted((row for row in rows if row["response_id"] in scores), key=lambda row: scores[row["response_id"]])
    c, j = ranked[-1], ranked[0]
    m = scores[c["response_id"]] - scores[j["response_id"]]
    lengths = sorted((len(c["text"]), len(j["text"])))
    if 0.01 <= m <= 0.1 and lengths[1] <= 1.5 * lengths[0] and m > pairs.get(prompt, (0,))[0]:
        pairs[prompt] = (m, model, c["response_id"], j["response_id"])
"""
DATAKIT = """
import sys
from pathlib import Path
if MEMORY:
    from datakit.store import database
    database._SETTINGS = (*database._SETTINGS, f"memory_limit = '{MEMORY}'", f"temp_directory = '{RUN}/.spill'")
from datakit.cli import main
sys.argv = ["datakit", "select", RUN, *ARGUMENTS]
try:
    main()
except SystemExit:
    pass
"""
CONTESTANTS = {
    "plainest query": (PLAINEST, ()),
    "query, same rules": (SAME_RULES, ()),
    "datakit select --diff": (DATAKIT, ("--diff",)),
    "sweep of 5 slopes": (DATAKIT, ("--sweep", "length_adjust=0,.25,.5,.75,1")),
    "pandas": (PANDAS, ()),
    "script, one loop": (SCRIPT, ()),
}


def measure(run: Path, code: str, arguments: tuple[str, ...], texts: bool, memory: str | None) -> tuple[float, float]:
    """Return the processor seconds and the peak memory (GB) of one process from its start to its end."""
    length = "length(r.text)" if texts else "r.n_chars"
    given = f"RUN, LENGTH, MEMORY, ARGUMENTS = {str(run)!r}, {length!r}, {memory!r}, {arguments!r}\n"
    command = [sys.executable, "-c", given + code + MEASURED]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=run)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    _, seconds, peak = done.stdout.split()[-3:]
    return float(seconds), float(peak)


def compare(run: Path, shape: Shape, turns: int, memory: str | None, names: list[str]) -> dict[str, float]:
    """Print each measurement, the contestants taking turns, then medians. Return the processor seconds."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for turn in range(turns):
        for name in names[:: -1 if turn % 2 else 1]:
            found[name].append(measure(run, *CONTESTANTS[name], shape.texts, memory))
            seconds, peak = found[name][-1]
            print(f"{shape.rows:>11,}  {name:24} {seconds:8.1f} processor s  {peak:6.2f} GB  turn {turn + 1}", flush=True)
    base = [seconds for seconds, _ in found[names[0]]]
    for name, measured in found.items():
        seconds, peaks = zip(*measured, strict=True)
        ratio = statistics.median(one / other for one, other in zip(seconds, base, strict=True))
        middle = statistics.median(seconds)
        print(
            f"{shape.rows:>11,}  {name:24} {middle:8.1f} processor s  {max(peaks):6.2f} GB  ratio {ratio:5.2f} (median)",
            flush=True,
        )
    return {name: statistics.median(seconds for seconds, _ in measured) for name, measured in found.items()}


def plot(path: Path, grown: dict[str, list[tuple[int, float]]]) -> None:
    """Plot processor seconds by number of answers, both on logarithmic scales."""
    points = [point for line in grown.values() for point in line]
    ends = [[fn(math.log10(point[axis]) for point in points) for fn in (min, max)] for axis in (0, 1)]

    def place(value: float, axis: int, low: float, high: float) -> float:
        least, most = ends[axis]
        return low + (math.log10(value) - least) / max(most - least, 1e-9) * (high - low)

    lines = []
    for number, (name, line) in enumerate(grown.items()):
        colour = f"hsl({number * 360 // len(grown)} 60% 40%)"
        at = [(place(rows, 0, 70, 430), place(seconds, 1, 300, 20)) for rows, seconds in line]
        lines.append(f'<polyline fill="none" stroke="{colour}" points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in at)}"/>')
        lines.append(f'<text x="{at[-1][0] + 6:.0f}" y="{at[-1][1]:.0f}" fill="{colour}">{name} {line[-1][1]:.1f} s</text>')
    ticks = sorted({rows for rows, _ in points})
    lines += [f'<text x="{place(rows, 0, 70, 430):.0f}" y="322" text-anchor="middle">{rows:,}</text>' for rows in ticks]
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 330" font-family="sans-serif" font-size="11">'
    path.write_text("\n".join([head, *lines, "</svg>"]) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="*", default=[400_000, 1_600_000], help="answers with texts")
    parser.add_argument("--narrow", type=int, nargs="*", default=[], help="answers without texts; once")
    parser.add_argument("--largest", type=int, nargs="*", default=[], help="the plainest query and --diff alone, with --memory")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--memory", default="3GB", help="DuckDB's memory limit for --largest")
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    grown: dict[str, list[tuple[int, float]]] = {name: [] for name in given.contestants}
    without_texts = [name for name in given.contestants if name not in ("pandas", "script, one loop")]
    sizes = [(Shape(rows), given.turns, None, given.contestants) for rows in given.rows]
    sizes += [(Shape(rows, texts=False), 1, None, without_texts) for rows in given.narrow]
    sizes += [
        (Shape(rows, texts=False), 1, given.memory, ["plainest query", "datakit select --diff"]) for rows in given.largest
    ]
    for shape, turns, memory, names in sizes:
        with tempfile.TemporaryDirectory() as folder:
            run = write_run(Path(folder) / "run", shape)
            for name, seconds in compare(run, shape, turns, memory, names).items():
                grown[name].append((shape.rows, seconds))
    if given.plot:
        plot(given.plot, {name: line for name, line in grown.items() if line})


if __name__ == "__main__":
    main()
