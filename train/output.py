"""The output folder of a training or a merge: what may be overwritten, what is removed first, and the record of the data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from train.data import Data
from train.errors import TrainError

Record = dict[str, Any]
"""The contents of data_manifest.json."""
_OF_A_MODEL = (
    "checkpoint-*", "config.json", "generation_config.json", "adapter_*", "*.safetensors", "*.safetensors.index.json",
    "tokenizer.*", "tokenizer_config.json", "chat_template*", "additional_chat_templates", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "retriever.json", "merge.json", "data_manifest.json",
    "trainer_state.json", "training_args.bin", "metrics.jsonl", "metrics.svg",
)  # fmt: skip
"""Patterns of the files and folders that a training or a merge writes."""


def prepare_output(record: Record, training: Any, overwrite: bool, out: Path, inputs: Iterable[str | Path] = ()) -> None:
    """Check that a training may write to `out`; with `overwrite` remove the model and the checkpoints there.

    Raises TrainError if `out` holds a finished model or an unfinished training, or one of `inputs` (the models that are
    trained); when a training is resumed, also if there is no checkpoint, or it was made from other data.
    """
    resume = resume_from(training.resume_from_checkpoint)
    check_inputs(out, inputs if overwrite and not resume else ())
    if overwrite and not resume:
        if training.process_index == 0:
            remove_model(out)
    elif resume:
        if not (any(out.glob("checkpoint-*")) if resume is True else Path(resume).is_dir()):
            where = out if resume is True else resume
            raise TrainError(f"--resume_from_checkpoint: no checkpoint in {where}; leave the flag out to start anew")
        _check_same_data(record, out)
    elif any((out / name).is_file() for name in ("config.json", "adapter_config.json", "retriever.json")):
        raise TrainError(f"--output_dir {out}: holds a model already; use another --output_dir, or --overwrite")
    elif any(out.glob("checkpoint-*")):
        raise TrainError(
            f"--output_dir {out}: holds the checkpoints of an unfinished training; go on with "
            "--resume_from_checkpoint true, or start anew with --overwrite or another --output_dir"
        )


def check_inputs(out: Path, inputs: Iterable[str | Path]) -> None:
    """Raise TrainError if `out` is a file, or if it is or contains one of the folders `inputs`, which would be overwritten."""
    if out.exists() and not out.is_dir():
        raise TrainError(f"--output_dir {out}: is a file; give a folder")
    for given in inputs:
        if Path(given).exists() and Path(given).resolve().is_relative_to(out.resolve()):
            raise TrainError(f"--output_dir {out}: contains the model {given}, which is read here; use another --output_dir")


def remove_model(out: Path) -> None:
    """Remove the model and the checkpoints in `out`, and what is recorded of them; other files and folders stay.

    Old checkpoints would count as the newest, an old adapter would be loaded on top of new weights, and an old chat template
    in place of a new one.
    """
    for path in {path for pattern in _OF_A_MODEL for path in out.glob(pattern)}:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _check_same_data(record: Record, out: Path) -> None:
    file = out / "data_manifest.json"
    if not file.is_file():
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    now, then = record.get("data", [record]), before.get("data", [before])
    passing = ("created", "versions", "trained_on")
    changed = sorted(
        {key for one, other in zip(now, then, strict=False) for key in one if key not in passing and one[key] != other.get(key)}
        | {key for key in ("weights",) if record.get(key) != before.get(key)}
        | ({"data"} if len(now) != len(then) else set())
    )
    if changed:
        raise TrainError(
            f"--resume_from_checkpoint: {out} was started with other data ({file.name} differs in {', '.join(changed)}; "
            f"it was {_named(before.get('trained_on'))}); give that data, or start anew with --overwrite"
        )


def make_record(data: Sequence[Data], weights: Sequence[float] | None) -> Record:
    """Return what data_manifest.json says: an export's manifest and its path; of several exports all manifests, as `data`."""
    if len(data) == 1:
        return {**data[0].manifest, "trained_on": str(data[0].path)}
    return {
        "kind": data[0].kind,
        "rows": sum(one.rows for one in data),
        "trained_on": [str(one.path) for one in data],
        "weights": list(weights) if weights else None,
        "data": [{**one.manifest, "trained_on": str(one.path)} for one in data],
    }


def record_data(record: Record, out: Path) -> None:
    """Write data_manifest.json beside the weights; before the training, so that an unfinished one has it too."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "data_manifest.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _named(paths: Any) -> str:
    return " ".join(paths) if isinstance(paths, list) else str(paths)


def resume_from(value: str | None) -> str | bool | None:
    """Return True for "the last checkpoint", a path, or None. TRL's flag is a text and passes "true" on as a path."""
    if value is None or value.lower() in ("false", "no"):
        return None
    return True if value.lower() in ("true", "yes") else value
