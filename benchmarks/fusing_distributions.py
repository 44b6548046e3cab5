"""Whether a teacher's distributions teach more than its texts alone: `make fusion-distributions`.

    python benchmarks/fusing_distributions.py                 # three seeds; continues where it was stopped
    python benchmarks/fusing_distributions.py --seeds 1 --out /tmp/fusing

Four tiny sources answer 1,000 problems and read their own right answers. For each source the same target is trained on the same
texts, with as many steps, in four ways: on the text alone; with half of the weight on the source's distributions; and, as
controls, with that half on label smoothing of the same mean entropy (any soft targets make a model less confident), and on the
source's rows of other places (as confident as the source, with alternatives that belong elsewhere). Then the four targets that
learnt from distributions are merged. The measures are the nats per byte of held-out right answers (of the source for its own
target, of all sources for the merged ones) and right answers to other problems. `main` lists the steps from top to bottom.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from distributions_data import Texts, displaced, smoothing
from distributions_table import Measured, gains, merged_rows, rates, source_rows
from fusion_lab import MODELS, RECIPES, SOURCES, TARGET, Lab, Training, steps_of

SEEDS = (1, 2, 3)
N_PROMPTS = 1_000
HALF = 0.5
"""The weight of the text; a teacher has the rest."""
WAYS = ("text", "smoothed", "displaced", "teacher")
MERGES = {
    "linear": ("--method", "linear"),
    "varm": ("--method", "varm"),
    "sce": ("--method", "sce", "--tau", 0.1),
    "sce, masked": ("--method", "sce", "--tau", 0.1, "--mask_deltas"),
    "ties": ("--method", "ties", "--density", 0.6),
}


def main() -> None:
    asked = _arguments()
    lab, seeds = Lab(asked.out, asked.jobs), asked.seeds
    lab.run("build", ("-m", "datakit"), "build", "--recipe", RECIPES / "distributions.yaml", "--limit", N_PROMPTS,
            "--out", lab.folder("sources"))  # fmt: skip

    sources = asked.sources
    texts = {source: Texts.of(lab.folder("sources"), source, MODELS / source) for source in sources}
    for source, found in texts.items():
        found.write(lab.folder(f"{source}/texts"))
        displaced(found).write(lab.folder(f"{source}/displaced"))
    entropies = {source: found.entropy(TARGET) for source, found in texts.items()}
    lab.train(training for seed in seeds for source in sources for training in _ways(lab, source, seed, entropies[source]))

    merges = MERGES if len(sources) > 1 else {}
    for seed in seeds:
        for name, flags in merges.items():
            _merge(lab, name, flags, seed, sources)

    measured = Measured(lab, texts)
    print("\n" + source_rows(measured, seeds, WAYS))
    print("\n" + gains(measured, seeds, WAYS))
    if merges:
        print("\n" + merged_rows(measured, seeds, list(merges)))
    print("\n" + entropies_of(texts, entropies))
    models = {"base": TARGET} | {
        f"{source}-{way}-{seed}": lab.folder(f"{source}-{way}-{seed}")
        for source in sources for way in ("text", "teacher") for seed in seeds
    } | {f"merged-sce-{seed}": lab.folder(f"merged-sce-{seed}") for seed in seeds if merges}  # fmt: skip
    print("\n" + rates(lab, models, seeds))


def _ways(lab: Lab, source: str, seed: int, entropy: float) -> Iterable[Training]:
    """Return the four trainings of a source."""
    texts, moved = lab.folder(f"{source}/texts"), lab.folder(f"{source}/displaced")
    steps, share = steps_of("fuse"), smoothing(entropy, TARGET)
    flags = {"text": {"lm_weight": 1}, "teacher": {"lm_weight": HALF}, "displaced": {"lm_weight": HALF}}
    for way, data in {"text": texts, "teacher": texts, "displaced": moved}.items():
        yield Training(f"{source}-{way}-{seed}", "fuse", data, TARGET, seed, steps, flags[way])
    smoothed = {"label_smoothing_factor": (1 - HALF) * share}
    yield Training(f"{source}-smoothed-{seed}", "sft", texts, TARGET, seed, steps, smoothed, config="fuse")


def _merge(lab: Lab, name: str, flags: tuple[object, ...], seed: int, sources: Sequence[str]) -> None:
    """Merge the four targets that learnt from distributions with this seed; return the model's folder."""
    out = lab.folder(f"merged-{name.replace(', ', '-')}-{seed}")
    if (out / "merge.json").is_file():
        return
    parts = [lab.folder(f"{source}-teacher-{seed}") for source in sources]
    lab.run(
        out.name, ("-m", "train.cli"), "merge", "--pivot", TARGET, "--models", *parts, *flags, "--output_dir", out, threads=1
    )


def entropies_of(texts: dict[str, Texts], entropies: dict[str, float]) -> str:
    """Return a line per source: the number of texts and the entropy."""
    lines = ["| | texts | held out | nats a place | smoothing of the same entropy |", "| --- | ---: | ---: | ---: | ---: |"]
    for source, found in texts.items():
        share = smoothing(entropies[source], TARGET)
        lines.append(f"| {source} | {found.train.height} | {found.held_out.height} | {entropies[source]:.3f} | {share:.4f} |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the trainings")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=SOURCES, help="a part of the four; one is not merged")
    parser.add_argument("--out", type=Path, default=Path("runs/fusion-distributions"), help="the work folder")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a thread each")
    return parser.parse_args()


if __name__ == "__main__":
    main()
