"""Answers of two small models to the demo's dialogues: `python dialogue_answers.py WORK` writes ../../dialogue/answers.jsonl.

Each model is trained from scratch by `train retriever` on data/dialogue/train.jsonl, in half a minute on one core, without the
marginal likelihood. Four answers per prompt are sampled, with the one restaurant that the model's own retriever finds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "data" / "dialogue"
COLUMNS = ["name", "area", "food", "price", "address", "phone"]
MODELS = {"micro-dialogue-64": (64, 1), "micro-dialogue-48": (48, 2)}
"""The models' widths and seeds."""
WARM, STEPS, SAMPLES, TEMPERATURE, TOP = 80, 360, 4, 0.7, 1


def train(work: Path, name: str) -> Path:
    """Train a model if its folder does not exist; return the folder."""
    folder, (width, seed) = work / name, MODELS[name]
    flags: dict[str, Any] = {
        "max_steps": STEPS, "retriever_steps": WARM, "mml_weight": 0.0, "negative": False, "seed": seed,
        "per_device_train_batch_size": 16, "learning_rate": 3e-3, "num_layers": 1, "hidden_size": width, "top": TOP,
        "save_strategy": "no", "logging_steps": 40, "disable_tqdm": True,
    }  # fmt: skip
    own = ["--data", DATA / "train.jsonl", "--kb", DATA / "kb.jsonl", "--columns", *COLUMNS, "--output_dir", folder]
    if not (folder / "retriever.json").is_file():
        more = [item for flag, value in flags.items() for item in (f"--{flag}", value)]
        command = [sys.executable, "-m", "train.cli", "retriever", *own, *more, "--use_cpu", "--overwrite"]
        subprocess.run([*map(str, command)], cwd=ROOT, check=True)
    return folder


def loaded(folder: Path) -> tuple[Any, Any]:
    """Load a model; return its module and learner."""
    from transformers import AutoTokenizer, BertModel, T5ForConditionalGeneration

    from train.retriever.batches import Batches
    from train.retriever.knowledge import read_knowledge
    from train.retriever.learner import Learner
    from train.retriever.modules import module_class
    from train.retriever.options import RetrieverArguments

    kinds = {"context_encoder": BertModel, "entity_encoder": BertModel, "generator": T5ForConditionalGeneration}
    more = {name: {} if name == "generator" else {"add_pooling_layer": False} for name in kinds}
    parts = [kind.from_pretrained(folder / name, **more[name]) for name, kind in kinds.items()]
    own = RetrieverArguments(columns=COLUMNS, top=TOP)
    kb = read_knowledge(DATA / "kb.jsonl", COLUMNS, {})
    tokenizers = {name: AutoTokenizer.from_pretrained(folder / name) for name in kinds}
    return module_class()(*parts).eval(), Learner(kb, own, Batches(kb, own, tokenizers))


def main(work: Path) -> None:
    import torch

    sys.path.insert(0, str(ROOT))
    from train.retriever.knowledge import make_turn

    torch.set_num_threads(1)
    dialogues = [json.loads(line) for line in (DATA / "problems.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = []
    for name in MODELS:
        module, learner = loaded(train(work, name))
        torch.manual_seed(0)
        for dialogue in dialogues:
            said: list[tuple[str, str]] = []
            for number, turn in enumerate(dialogue["turns"]):
                said.append(("user", turn["user"]))
                asked = make_turn(tuple(said), turn["system"], learner.kb)
                said.append(("system", turn["system"]))
                if asked.gold:
                    texts = learner.answer(module, [asked] * SAMPLES, do_sample=True, temperature=TEMPERATURE)
                    one = {"prompt_id": f"{dialogue['dialogue_id']}/{number}", "model": name}
                    rows += [{**one, "text": text} for text in texts if text.strip()]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (DATA / "answers.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
