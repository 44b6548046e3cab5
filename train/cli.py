"""`train sft|dpo|wrpo|fuse --data EXPORT --model MODEL [any TRL flag]`, `train merge`, `train retriever`. No other module
prints.

train sft --data runs/my/sft --model data/micro/target --config recipes/train/sft.yaml
train dpo --data runs/my/dpo --model checkpoints/sft --config recipes/train/dpo.yaml
accelerate launch --num_processes 8 -m train.cli sft --data ... --model ...
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
from pathlib import Path

from rich.console import Console

from train.data import COLUMNS, Data, open_all
from train.errors import TrainError
from train.finetune import STILL_HELD, check_target, finetune, merge_command
from train.flags import check_flags
from train.merge import merge
from train.merge_options import parse_merge
from train.metrics import LINES, PLOT, draw
from train.options import Options, Request, build_parser, check_early, parse, parse_options, read_request
from train.retriever import options as retriever_options
from train.retriever.training import train as train_retriever

RETRIEVER = "retriever"

_NEEDED = ("torch", "transformers", "accelerate", "datasets", "peft", "trl")

_HELP = """\
usage: train {sft,dpo,wrpo,fuse} --data EXPORT [EXPORT ...] --model MODEL [--config FILE.yaml] [any TRL flag]
       train merge --pivot MODEL --models MODEL [MODEL ...] [--method sce] --output_dir DIR
       train retriever --data DIALOGUES --kb KB --columns NAME ... [--config FILE.yaml] [any flag]

Fine-tune a target model on what datakit exports: demos first (sft), then pairs (dpo), or its own
pairs together with the sources' best answers (wrpo); or texts with the distributions of their
teachers (fuse). merge makes one model of several that were trained from one pivot.

  train sft --data runs/my/sft --model data/micro/target --config recipes/train/sft.yaml
  train dpo --data runs/my/dpo --model checkpoints/sft --config recipes/train/dpo.yaml

  --data    one export or several (--data A B): a run's sft/ or dpo/ folder, or any Parquet or JSON
            Lines in TRL's columns. Its contents are checked first, in a moment.
  --model   the target: a folder or a hub id (another name for TRL's --model_name_or_path).
  --config  a YAML file of flags. recipes/train/ has one for every target of FuseChat-3.0:
            {sft,dpo}-{llama-3.1-8b,qwen-2.5-7b,gemma-2-9b,llama-3.2-3b,llama-3.2-1b}.yaml

Every flag of TRL's trainers works, on the command line (which wins) or in the YAML file:
  --use_peft --lora_r 32            train a LoRA adapter instead of all weights
  --loss_type sigmoid_norm          length-normalised DPO
  --output_dir DIR                  by default checkpoints/sft, checkpoints/dpo, and so on
  --resume_from_checkpoint true     go on from the last checkpoint there
  --eval_share 0.02 --eval_strategy epoch      hold prompts out and evaluate on them
  --data_weights 1 0.5              take rows of each --data in this proportion

Several GPUs: accelerate launch --num_processes 8 -m train.cli sft --data ... --model ...
train retriever trains the retriever of datakit's domain dialogue, see docs/dialogue.md.
All flags: train sft --help, train dpo --help, train wrpo --help, train fuse --help, train merge --help,
train retriever --help.
"""


def main(argv: list[str] | None = None) -> int:
    """Run a command. Return the exit status: 0 done, 2 bad input or a missing package (one message), 130 interrupted."""
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except TrainError as error:
        _print(f"error: {error}", to_stderr=True, style="red")
        return 2
    except KeyboardInterrupt:
        _print("Interrupted. If a checkpoint was saved, --resume_from_checkpoint true goes on.", to_stderr=True)
        return 130


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        _print(_HELP.rstrip(), to_stderr=not argv)
        return 0 if argv else 2
    kind, rest = argv[0], argv[1:]
    if kind == "merge":
        _merge(rest)
        return 0
    if kind not in (*COLUMNS, RETRIEVER):
        close = difflib.get_close_matches(kind, (*COLUMNS, "merge", RETRIEVER), n=1, cutoff=0.3)
        hint = f"did you mean train {close[0]}?" if close else f"choose one of {', '.join(COLUMNS)}, merge, {RETRIEVER}"
        raise TrainError(f"train {kind}: no such command; {hint}")
    request = read_request(kind, rest)
    if kind == RETRIEVER:
        _train_retriever(request)
        return 0
    if request.help:
        _check_installed(kind)
        _print(build_parser(kind).format_help().rstrip())
        return 0
    _train(request)
    return 0


def _train(request: Request) -> None:
    """Check what is cheap first (the data, the target, the packages); only then import TRL and train."""
    kind = request.kind
    if not request.data:
        raise TrainError(f"train {kind}: no data; add --data with an export, for example --data runs/my/{kind}")
    check_early(request)
    data = open_all(request.data, kind)
    target = check_target(request.model, kind)
    _check_installed(kind)
    options = parse_options(request, has_test=any(one.test_files for one in data))
    options.model.model_name_or_path = target
    out, logs = finetune(data, options, _print)
    if _speaks():
        draw(logs, Console())
    _say_next(data, options, out)
    if STILL_HELD:  # everything is saved, and the interpreter's normal exit would free them
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _train_retriever(request: Request) -> None:
    """Train a retriever from dialogues and a knowledge base, in the order of _train."""
    if request.help:
        _check_installed(RETRIEVER, (*_NEEDED, "sacrebleu"))
        _print(retriever_options.build_parser().format_help().rstrip())
        return
    own_flags = retriever_options.RetrieverArguments.__dataclass_fields__
    check_flags(RETRIEVER, request.argv, request.config, str(request.config_path), own_flags)
    _check_installed(RETRIEVER, (*_NEEDED, "sacrebleu"))
    own, training = parse(retriever_options.build_parser(), request)
    retriever_options.check(own)
    logs = train_retriever(own, training, _print)
    if _speaks():
        draw(logs, Console())


def _merge(argv: list[str]) -> None:
    options = parse_merge(argv)
    _check_installed("merge", ("torch", "safetensors", "peft"))
    pivot, *models = [Path(check_target(name, "merge")) for name in (options.pivot, *options.models)]
    merge(pivot, models, options.merging, options.out, options.overwrite)
    _print(
        f"Merged {len(models)} models by {options.merging.method} into {options.out} ({options.out / 'merge.json'} says how)."
    )
    _print(f"Next: transformers and vLLM load it like any model, for example vllm serve {options.out}")


def _check_installed(kind: str, needed: tuple[str, ...] = _NEEDED) -> None:
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainError(
            f"train {kind} needs packages that are not installed ({', '.join(missing)}): pip install 'fuse-datakit[train]'"
        )


def _say_next(data: list[Data], options: Options, out: Path) -> None:
    if options.model.use_peft:
        _print(f"Saved the LoRA adapter in {out}. This makes a whole model of it:\n  {merge_command(out)}")
        out = out.with_name(f"{out.name}-merged")
    else:
        _print(
            f"Saved the model and its tokenizer in {out} (trained on: {out / 'data_manifest.json'}; "
            f"measured: {out / LINES}, {PLOT})."
        )
    if options.kind == "sft":
        then = "wrpo" if any((one.path.parent / "wrpo").is_dir() for one in data) else "dpo"
        pairs = [one.path.parent / then for one in data]
        known = " ".join(map(str, pairs)) if all(path.is_dir() for path in pairs) else f"RUN/{then}"
        _print(f"Next: train {then} --data {known} --model {out} --config recipes/train/{then}.yaml")
    else:
        _print(f"Next: transformers and vLLM load it like any model, for example vllm serve {out}")


def _speaks() -> bool:
    """Return True in the first process of a launch, the only one that prints."""
    return os.environ.get("RANK", "0") == "0"


def _print(message: str, *, to_stderr: bool = False, style: str | None = None) -> None:
    """Print a message as plain text, without markup or wrapping of paths."""
    if _speaks():
        Console(stderr=to_stderr, markup=False, highlight=False, soft_wrap=True).print(message, style=style)


if __name__ == "__main__":
    sys.exit(main())
