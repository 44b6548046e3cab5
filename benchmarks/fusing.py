"""What the answers of four models teach a fifth: `make fusion`.

    python benchmarks/fusing.py                               # three seeds, into runs/fusion; continues where it was stopped
    python benchmarks/fusing.py --seeds 1 --out /tmp/fusion

The four sources and the target in data/micro/ (fusion-*) know the same four kinds of problems; each source knows two more well.
A build asks the sources 1,800 problems; the target is trained on their right answers, then on their pairs, and is measured on
600 others. WRPO also starts from the SFT model, with pairs of its own answers and a source's answer beside each. Controls
separate the contribution of the sources from that of training alone: the target trained on its own right answers, and on those
of one source alone, each with as many steps as SFT and DPO together; and the sources themselves. Every step is a command of the
project; `main` lists them from top to bottom.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fusion_lab import MAKING, RECIPES, SOURCES, TARGET, Lab, Training, steps_of
from fusion_table import Row, differences, kinds, plot, scores

SEEDS = (1, 2, 3)


def main() -> None:
    asked = _arguments()
    lab, seeds = Lab(asked.out, asked.jobs), asked.seeds

    print(lab.run("held-out", MAKING, "fusion-held-out"))
    lab.build("sources", RECIPES / "sources.yaml")
    lab.build("own", RECIPES / "own.yaml")
    best = lab.best_source("sources")
    print(f"most right answers among the sources: {best}")

    sft, dpo = steps_of("sft"), steps_of("dpo")
    demos, own, alone = lab.folder("sources") / "sft", lab.folder("own") / "sft", lab.demos_of("sources", best)
    pairs, wrpo = lab.folder("sources") / "dpo", steps_of("wrpo")
    lab.train(Training(f"sft-{seed}", "sft", demos, TARGET, seed, sft) for seed in seeds)
    lab.train(Training(f"dpo-{seed}", "dpo", pairs, lab.folder(f"sft-{seed}"), seed, dpo) for seed in seeds)
    lab.train(Training(f"own-{seed}", "sft", own, TARGET, seed, sft + dpo) for seed in seeds)
    lab.train(Training(f"alone-{seed}", "sft", alone, TARGET, seed, sft + dpo) for seed in seeds)

    triples = {seed: lab.second_round(seed) / "wrpo" for seed in seeds}
    lab.train(Training(f"wrpo-{seed}", "wrpo", triples[seed], lab.folder(f"sft-{seed}"), seed, wrpo) for seed in seeds)

    def row(label: str, name: str) -> Row:
        return Row(label, [f"{name}-{seed}" for seed in seeds])

    sources = [Row(name.removeprefix("fusion-"), [name]) for name in SOURCES]
    base, fused, final = Row("base", ["base"]), row("SFT", "sft"), row("SFT + DPO", "dpo")
    mixed = row("SFT + WRPO", "wrpo")
    controls = [row("own answers", "own"), row(f"{best.removeprefix('fusion-')} alone", "alone")]
    rows = [*sources, base, *controls, fused, final, mixed]
    values = lab.measure({name: lab.model(name) for row in rows for name in row.models})

    compared = [(fused, base), (final, fused), (mixed, fused), *((final, one) for one in [*controls, *sources])]
    compared += [(fused, one) for one in controls]
    told = [scores(values, rows), differences(values, compared), kinds(values, rows)]
    (asked.out / "table.md").write_text("\n\n".join(told) + "\n", encoding="utf-8")
    plot(values, rows, asked.out / "fusion.svg")
    print("\n" + "\n\n".join(told))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the trainings")
    parser.add_argument("--out", type=Path, default=Path("runs/fusion"), help="the work folder")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a thread each")
    return parser.parse_args()


if __name__ == "__main__":
    main()
