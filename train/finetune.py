"""One training, top to bottom: check the target, give the rows to TRL, check how TRL tokenized them, train, save.

TRL does the training itself. This module adds what TRL does not report: which data it was
(`data_manifest.json` beside the weights), how many rows are truncated; and it overwrites nothing unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from train import fuse, wrpo
from train.data import ROWS_OF, Data, find_shipped
from train.errors import TrainError
from train.metrics import PLOT, Log, recorder
from train.options import Options
from train.output import make_record, prepare_output, record_data, resume_from
from train.plot import plot
from train.rows import load_rows

Say = Callable[[str], None]
STILL_HELD: list[Any] = []
"""The trainer of a training in several processes on CPUs. torch (2.13) frees its gloo group while it holds the interpreter's
lock, and joins threads that may wait for that lock; so such a process exits without freeing it (cli.py)."""


def check_target(model: str | None, kind: str) -> str:
    """Return the target model as given. Raise TrainError if it cannot be one. Nothing heavy is imported."""
    if not model:
        raise TrainError(f"train {kind}: no target model; add --model with a folder or a hub id like owner/name")
    folder = find_shipped(model)
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return str(folder)
        if (folder / "adapter_config.json").is_file():
            raise TrainError(
                f"--model {model}: this is a LoRA adapter, and a target must be a complete model; merge it first:\n"
                f"  {merge_command(folder)}\nand use --model {folder}-merged"
            )
        raise TrainError(f"--model {model}: not a saved model: the folder has no config.json")
    if folder.is_file() or folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise TrainError(f"--model {model}: no such folder; give a model's folder, or a hub id like owner/name")
    return model


def merge_command(adapter: Path) -> str:
    """Return the command that merges a saved LoRA adapter into its base model."""
    return (
        'python -c "from peft import AutoPeftModelForCausalLM as P; from transformers import AutoTokenizer as T; '
        f"a, m = '{adapter}', '{adapter}-merged'; "
        'P.from_pretrained(a).merge_and_unload().save_pretrained(m); T.from_pretrained(a).save_pretrained(m)"'
    )


def finetune(data: Sequence[Data], options: Options, say: Say) -> tuple[Path, list[Log]]:
    """Train and save. Return the folder with weights, tokenizer, data_manifest.json and metrics, and the logs."""
    training, out = options.training, Path(options.training.output_dir)
    record = make_record(data, options.data.data_weights)
    prepare_output(record, training, options.data.overwrite, out, (options.model.model_name_or_path,))
    if not data[0].is_text:
        _check_chat_template(options)
    row_weights = options.fusing.row_weights if options.fusing is not None else ()
    train_rows, eval_rows = load_rows(data, options.data.data_weights, options.data.eval_share, row_weights)
    if options.fusing is not None:
        options.fusing.vocabularies = fuse.read_vocabularies([one.files[0].parent for one in data])
    n_rows, names = sum(one.rows for one in data), ", ".join(str(one.path) for one in data)
    used = (
        f" ({len(train_rows)} trained on, {len(eval_rows or ())} evaluated on)"
        if len(train_rows) != n_rows or eval_rows
        else ""
    )
    say(f"{n_rows} {ROWS_OF[options.kind]} from {names}{used}; "
        f"target {options.model.model_name_or_path}; to {out}")  # fmt: skip
    try:
        trainer = _make_trainer(options, train_rows, eval_rows)
    except (OSError, ValueError, ImportError, NotImplementedError) as error:  # TRL refuses a model or a setting
        raise TrainError(f"train {options.kind}: {_first_lines(error)}") from error
    if not len(trainer.train_dataset):
        raise TrainError(f"train {options.kind}: every prompt alone fills max_length {training.max_length}; raise --max_length")
    if options.fusing is not None:
        say(str(trainer.aligned))
    for warning in _row_warnings(trainer, options, len(train_rows)):
        say(f"Warning: {warning}")
    if trainer.is_world_process_zero():
        record_data(record, out)
    trainer.add_callback(recorder(out))
    trainer.train(resume_from_checkpoint=resume_from(training.resume_from_checkpoint))
    trainer.save_model(str(out))
    if training.push_to_hub:
        trainer.push_to_hub()
    if hasattr(trainer, "end"):  # from transformers 5.18 on this closes trackers and the process group
        trainer.end()
    if training.use_cpu and training.world_size > 1:
        STILL_HELD.append(trainer)
    logs = list(trainer.state.log_history)
    if trainer.is_world_process_zero() and (drawn := plot(logs)):
        (out / PLOT).write_text(drawn, encoding="utf-8")
    return out, logs


def _check_chat_template(options: Options) -> None:
    """Raise TrainError if the target has no chat template, without which conversations cannot be tokenized."""
    from transformers import AutoTokenizer

    model, training = options.model, options.training
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            model.model_name_or_path, revision=model.model_revision, trust_remote_code=training.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise TrainError(
            f"--model {model.model_name_or_path}: neither a model folder nor available from the hub ({_first_lines(error)})"
        ) from None
    if tokenizer.chat_template is None and not getattr(training, "chat_template_path", None):
        more = "add --chat_template_path" if options.kind in ("sft", "fuse") else "run train sft --chat_template_path ... first"
        raise TrainError(
            f"--model {model.model_name_or_path}: its tokenizer has no chat template, which conversations need; "
            f"use an instruct model, or {more}"
        )


def _make_trainer(options: Options, train_rows: Any, eval_rows: Any) -> Any:
    """Return TRL's trainer, built as in TRL's own scripts."""
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
    classes: dict[str, Callable[[], Any]] = {
        "sft": lambda: SFTTrainer,
        "dpo": lambda: DPOTrainer,
        "wrpo": wrpo.trainer_class,
        "fuse": lambda: fuse.trainer_class(options.fusing or fuse.Fusing()),
    }
    trainer = classes[options.kind]()(
        model=model.model_name_or_path,
        args=training,
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        quantization_config=get_quantization_config(model),
        peft_config=get_peft_config(model),
    )
    if options.mixing is not None:
        wrpo.prepare(trainer, options.mixing)
    return trainer


def _row_warnings(trainer: Any, options: Options, n_rows: int) -> list[str]:
    """Return warnings about tokenized rows that TRL does not report: left out, cut at `max_length`, or the same on both sides.

    SFT rows are truncated here already, so a row of exactly `max_length` tokens may have been longer; DPO rows are truncated by
    the collator. Packed rows have no lengths of their own, so there are no warnings with packing.
    """
    limit = options.training.max_length
    if getattr(options.training, "packing", False):
        return []
    rows, flag = trainer.train_dataset, f"max_length {limit}"
    warnings = []
    disagreeing = getattr(trainer, "n_disagreeing", 0)
    if disagreeing:
        warnings.append(f"rows left out: {disagreeing} (their prompt has other tokens before the source's answer)")
    if len(rows) < n_rows - disagreeing:
        n_long = n_rows - disagreeing - len(rows)
        warnings.append(f"rows left out: {n_long} of {n_rows} (their prompt alone fills {flag})")
    if options.kind in ("sft", "fuse"):
        if options.kind == "fuse":
            warnings += trainer.aligned.warnings()
        if limit is not None and (full := sum(len(ids) >= limit for ids in rows["input_ids"])):
            warnings.append(
                f"rows that fill {flag}: {full} of {n_rows}; longer rows are cut there; consider raising --max_length"
            )
        return warnings
    found = compare_pairs(zip(rows["prompt_ids"], rows["chosen_ids"], rows["rejected_ids"], strict=True), limit)
    if found.alike:
        warnings.append(f"pairs of the same tokens on both sides: {found.alike} of {n_rows}; they teach nothing; remove them")
    if found.cut:
        warnings.append(f"rows longer than {flag}, cut there: {found.cut} of {n_rows}; raise --max_length to keep their ends")
    if found.alike_once_cut:
        warnings.append(
            f"pairs that are the same on both sides once cut at {flag}: {found.alike_once_cut} of {n_rows}; they teach "
            "nothing: raise --max_length"
        )
    return warnings


class Compared(NamedTuple):
    """Numbers of pairs: longer than the limit, alike on both sides only once cut, and alike as a whole."""

    cut: int
    alike_once_cut: int
    alike: int


def compare_pairs(pairs: Any, limit: int | None) -> Compared:
    """Count the (prompt, chosen, rejected) token lists that are longer than `limit`, and those that are alike on both sides."""
    cut = once_cut = alike = 0
    for prompt, chosen, rejected in pairs:
        room = None if limit is None else max(0, limit - len(prompt))
        cut += room is not None and max(len(chosen), len(rejected)) > room
        alike += chosen == rejected
        once_cut += chosen != rejected and chosen[:room] == rejected[:room]
    return Compared(cut, once_cut, alike)


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])
