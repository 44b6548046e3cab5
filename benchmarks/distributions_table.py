"""Tables of the demonstration of fusion by distributions.

A model is measured by the nats per byte of held-out texts (their ends included), from one forward pass each: less is better. A
difference belongs to one seed; the seeds are shown side by side, and only what they agree on is claimed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from distributions_data import Texts
from fusion_lab import ROOT, TARGET, Lab

from datakit.evaluation.models import read_models
from datakit.evaluation.scores import read_answers
from datakit.probe.forward import Reader, reading_worker
from datakit.recipe.benchmarks import load_suite
from datakit.store import Run

GREEDY = ROOT / "recipes" / "fusion" / "eval" / "greedy.yaml"
N_PROBLEMS = 120


@dataclass
class Measured:
    """Nats per byte of models on the sources' held-out texts, each measured once and kept in the work folder."""

    lab: Lab
    texts: Mapping[str, Texts]
    _known: dict[str, float] = field(default_factory=dict)

    @property
    def _file(self) -> Path:
        return self.lab.folder("measured.json")

    def __post_init__(self) -> None:
        if self._file.is_file():
            self._known = json.loads(self._file.read_text(encoding="utf-8"))

    def of(self, model: str, source: str) -> float:
        """Return the nats per byte of a model (a folder in the work folder, or base) on a source's texts."""
        key = f"{model} on {source}"
        if key not in self._known:
            folder = TARGET if model == "base" else self.lab.folder(model)
            worker = reading_worker(folder, TARGET / "tokenizer.json", "float32", ["cpu"], 1, {}, "cpu")
            reader = worker.args[0]  # type: ignore[attr-defined]
            assert isinstance(reader, Reader)
            rows = [
                {"messages": row["prompt"], "text": row["completion"][-1]["content"]}
                for row in self.texts[source].held_out.iter_rows(named=True)
            ]
            read = reader.read(rows)
            self._known[key] = sum(row["nll"] for row in read) / sum(row["n_bytes"] for row in read)
            self._file.write_text(json.dumps(self._known, indent=1), encoding="utf-8")
        return self._known[key]


def source_rows(measured: Measured, seeds: Sequence[int], ways: Sequence[str]) -> str:
    """Return a row per source: the base, and for each way of training the mean and each seed."""
    lines = [
        f"| nats a byte | base | {' | '.join(f'{way} | ' for way in ways)} |",
        f"| --- | ---: |{' ---: | --- |' * len(ways)}",
    ]
    for source in measured.texts:
        cells = [f"{measured.of('base', source):.4f}"]
        for way in ways:
            found = [measured.of(f"{source}-{way}-{seed}", source) for seed in seeds]
            cells += [f"{sum(found) / len(found):.4f}", _each(found, "{:.4f}")]
        lines.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gains(measured: Measured, seeds: Sequence[int], ways: Sequence[str]) -> str:
    """Return a row per source: by how many per cent each other way is below (-) or above the text alone, seed by seed."""
    others = ways[1:]
    lines = [f"| % of the text alone | {' | '.join(others)} |", f"| --- |{' --- |' * len(others)}"]
    for source in measured.texts:
        cells = []
        for way in others:
            found = [
                100 * (measured.of(f"{source}-{way}-{seed}", source) / measured.of(f"{source}-text-{seed}", source) - 1)
                for seed in seeds
            ]
            cells.append(f"{sum(found) / len(found):+.1f} ({_each(found, '{:+.1f}')})")
        lines.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(lines)


def merged_rows(measured: Measured, seeds: Sequence[int], merges: Sequence[str]) -> str:
    """Return a row per model: its nats per byte on the texts of all sources, as the mean over the sources, and each seed."""

    def over_sources(named: Callable[[int], str]) -> list[float]:
        return [sum(measured.of(named(seed), source) for source in measured.texts) / len(measured.texts) for seed in seeds]

    rows = {"base": over_sources(lambda _: "base")[:1]}
    rows |= {
        f"part: {source}": over_sources(lambda seed, source=source: f"{source}-teacher-{seed}") for source in measured.texts
    }
    rows |= {name: over_sources(lambda seed, name=name: f"merged-{name.replace(', ', '-')}-{seed}") for name in merges}
    lines = ["| nats a byte, all sources | mean | seeds |", "| --- | ---: | --- |"]
    lines += [f"| {name} | {sum(found) / len(found):.4f} | {_each(found, '{:.4f}')} |" for name, found in rows.items()]
    return "\n".join(lines)


def rates(lab: Lab, models: Mapping[str, Path], seeds: Sequence[int]) -> str:
    """Return a row per model: per cent of right greedy answers to the first test problems, the mean and each seed."""
    given = lab.given(models)
    flags = [word for one in given for word in ("--model", one)]
    lab.run("eval", ("-m", "datakit"), "eval", "--suite", GREEDY, "--limit", N_PROBLEMS, *flags, "--out", lab.folder("eval"))
    ((found, _),) = load_suite(str(GREEDY))[1]
    with Run.open(lab.folder("eval") / found.name) as run:
        values = read_answers(run, found, read_models(given, None, None)).values
    means = dict(values.group_by("name").agg(pl.col("value").mean()).iter_rows())
    by_row: dict[str, list[float]] = {}
    for name in models:
        row, _, seed = name.rpartition("-")
        by_row.setdefault(row if seed.isdigit() else name, []).append(100 * means[name])
    lines = [f"| right of {N_PROBLEMS}, greedy, % | mean | seeds |", "| --- | ---: | --- |"]
    lines += [
        f"| {row} | {sum(found) / len(found):.1f} | {_each(found, '{:.1f}') if len(seeds) > 1 else ''} |"
        for row, found in by_row.items()
    ]
    return "\n".join(lines)


def _each(found: Sequence[float], form: str) -> str:
    return ", ".join(form.format(one) for one in found) if len(found) > 1 else ""
