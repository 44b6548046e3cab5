"""One training, top to bottom: check the target, give the rows to TRL, look at what TRL made of them, train, save.

Everything about the training itself is TRL's. What is added here is what TRL does not say: which data it was
(`data_manifest.json` beside the weights), how many rows its truncation cuts, and that nothing finished is written over.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from train.data import Export, find_shipped, load_rows
from train.errors import TrainError
from train.options import Options

Say = Callable[[str], None]


def check_target(model: str | None, kind: str) -> str:
    """The target model as given, if it can be one; a folder is looked into before anything heavy is imported."""
    if not model:
        raise TrainError(f"train {kind}: no target model; add --model with a folder or a hub id like owner/name")
    folder = find_shipped(model)
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return str(folder)
        if (folder / "adapter_config.json").is_file():
            raise TrainError(
                f"--model {model}: this is a LoRA adapter, and a target is a whole model; merge it first:\n"
                f"  {merge_command(folder)}\nand use --model {folder}-merged"
            )
        raise TrainError(f"--model {model}: this folder has no config.json, so it is not a saved model")
    if folder.is_file() or folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise TrainError(f"--model {model}: no such folder; give a model's folder, or a hub id like owner/name")
    return model


def merge_command(adapter: Path) -> str:
    """The command that makes a whole model out of a saved LoRA adapter."""
    return (
        'python -c "from peft import AutoPeftModelForCausalLM as P; from transformers import AutoTokenizer as T; '
        f"a, m = '{adapter}', '{adapter}-merged'; "
        'P.from_pretrained(a).merge_and_unload().save_pretrained(m); T.from_pretrained(a).save_pretrained(m)"'
    )


def finetune(export: Export, options: Options, say: Say) -> Path:
    """Train and save; returns the folder with the weights, the tokenizer and data_manifest.json."""
    training, out = options.training, Path(options.training.output_dir)
    _prepare_output(export, options, out)
    _check_chat_template(options)
    train_rows, eval_rows = load_rows(export, options.data.eval_share)
    held = f", {len(eval_rows)} held out" if eval_rows is not None else ""
    say(f"{export.rows} {'demos' if export.kind == 'sft' else 'pairs'} from {export.path}{held}; "
        f"target {options.model.model_name_or_path}; to {out}")  # fmt: skip
    try:
        trainer = _make_trainer(options, train_rows, eval_rows)
    except (OSError, ValueError, ImportError, NotImplementedError) as error:  # how TRL refuses a model or a setting
        raise TrainError(f"train {options.kind}: {_first_lines(error)}") from error
    if not len(trainer.train_dataset):
        raise TrainError(f"train {options.kind}: every prompt alone fills max_length {training.max_length}; raise it")
    for warning in _truncation_warnings(trainer, options, len(train_rows)):
        say(f"Warning: {warning}")
    if trainer.is_world_process_zero():
        _record_data(export, out)
    trainer.train(resume_from_checkpoint=_resume(training.resume_from_checkpoint))
    trainer.save_model(str(out))
    if training.push_to_hub:
        trainer.push_to_hub()
    if hasattr(trainer, "end"):  # transformers 5.18 closes its trackers and the process group by this
        trainer.end()
    return out


def _prepare_output(export: Export, options: Options, out: Path) -> None:
    """Write over nothing unless it was said; go on only from checkpoints that there are, and on the same data."""
    resume = _resume(options.training.resume_from_checkpoint)
    if options.data.overwrite and not resume:
        if options.training.process_index == 0:
            _remove_old(out)
    elif resume:
        if not (any(out.glob("checkpoint-*")) if resume is True else Path(resume).is_dir()):
            where = out if resume is True else resume
            raise TrainError(f"--resume_from_checkpoint: no checkpoint in {where}; leave the flag out to start anew")
        _check_same_data(export, out)
    elif any((out / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise TrainError(f"--output_dir {out}: holds a model already; use another --output_dir, or --overwrite")
    elif any(out.glob("checkpoint-*")):
        raise TrainError(
            f"--output_dir {out}: holds the checkpoints of an unfinished training; go on with "
            "--resume_from_checkpoint true, or start anew with --overwrite or another --output_dir"
        )


def _remove_old(out: Path) -> None:
    """Old checkpoints would count as the newest, and an old adapter would be loaded on top of new weights."""
    for pattern in ("checkpoint-*", "config.json", "adapter_*", "*.safetensors", "*.safetensors.index.json"):
        for path in out.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _check_same_data(export: Export, out: Path) -> None:
    record = out / "data_manifest.json"
    if not record.is_file():
        return
    before = json.loads(record.read_text(encoding="utf-8"))
    changed = sorted(
        key for key in export.manifest if key not in ("created", "versions") and export.manifest[key] != before.get(key)
    )
    if changed:
        raise TrainError(
            f"--resume_from_checkpoint: {out} was begun on other data ({record.name} differs in {', '.join(changed)}; "
            f"it was {before.get('trained_on')}); give that export, or start anew with --overwrite"
        )


def _check_chat_template(options: Options) -> None:
    """An export is conversations; without a chat template a tokenizer cannot read them."""
    from transformers import AutoTokenizer

    model, training = options.model, options.training
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            model.model_name_or_path, revision=model.model_revision, trust_remote_code=training.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise TrainError(
            f"--model {model.model_name_or_path}: neither a model folder here nor one that the hub gives "
            f"({_first_lines(error)})"
        ) from None
    if tokenizer.chat_template is None and not getattr(training, "chat_template_path", None):
        more = "add --chat_template_path" if options.kind == "sft" else "run train sft --chat_template_path ... first"
        raise TrainError(
            f"--model {model.model_name_or_path}: its tokenizer has no chat template, and an export is conversations; "
            f"use an instruct model, or {more}"
        )


def _make_trainer(options: Options, train_rows: Any, eval_rows: Any) -> Any:
    """TRL's trainer, as TRL's own scripts build it."""
    from trl import (  # type: ignore[attr-defined]
        DPOTrainer,
        SFTTrainer,
        get_peft_config,
        get_quantization_config,
    )

    model, training = options.model, options.training
    training.model_init_kwargs = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        **(training.model_init_kwargs or {}),
    }
    trainer_class: Any = SFTTrainer if options.kind == "sft" else DPOTrainer
    return trainer_class(
        model=model.model_name_or_path,
        args=training,
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        quantization_config=get_quantization_config(model),
        peft_config=get_peft_config(model),
    )


def _truncation_warnings(trainer: Any, options: Options, n_rows: int) -> list[str]:
    """What TRL's `max_length` does to the rows, counted on its own tokens; it says nothing about it itself.

    SFT rows come truncated (one of exactly `max_length` tokens counts as cut), DPO rows whole: the collator cuts them.
    Packed rows keep no length of their own, so with packing only the rows TRL dropped would show, and nothing is said.
    """
    limit = options.training.max_length
    if limit is None or getattr(options.training, "packing", False):
        return []
    rows, flag = trainer.train_dataset, f"max_length {limit}"
    warnings = []
    if len(rows) < n_rows:
        warnings.append(f"{n_rows - len(rows)} of {n_rows} rows are left out: their prompt alone fills {flag}")
    if options.kind == "sft":
        cut, same = sum(len(ids) >= limit for ids in rows["input_ids"]), 0
    else:
        pairs = zip(rows["prompt_ids"], rows["chosen_ids"], rows["rejected_ids"], strict=True)
        cut, same = count_cut_pairs(pairs, limit)
    if cut:
        warnings.append(f"{cut} of {n_rows} rows reach {flag} and are cut there; raise --max_length to keep their ends")
    if same:
        warnings.append(
            f"{same} of {n_rows} pairs are the same on both sides once cut at {flag} and teach nothing; raise --max_length"
        )
    return warnings


def count_cut_pairs(pairs: Any, limit: int) -> tuple[int, int]:
    """How many (prompt, chosen, rejected) token lists are longer than `limit`, and how many become equal when cut."""
    cut = same = 0
    for prompt, chosen, rejected in pairs:
        room = max(0, limit - len(prompt))
        cut += max(len(chosen), len(rejected)) > room
        same += chosen[:room] == rejected[:room]
    return cut, same


def _record_data(export: Export, out: Path) -> None:
    """The export's manifest beside the weights, and from the start: an unfinished training tells its data too."""
    out.mkdir(parents=True, exist_ok=True)
    record = {**export.manifest, "trained_on": str(export.path)}
    (out / "data_manifest.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _resume(value: str | None) -> str | bool | None:
    """TRL's flag is text, and only the Boolean true means "the last checkpoint"."""
    if value is None or value.lower() in ("false", "no"):
        return None
    return True if value.lower() in ("true", "yes") else value


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])
