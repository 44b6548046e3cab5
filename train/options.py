"""The command line and the YAML of `--config`: TRL's own flags, `--data`, and the alias `--model`.

The command line is read twice. `read_request` imports nothing heavy and finds what is needed to check the export.
`parse_options` imports TRL, builds every flag from its config classes and refuses unknown ones. A YAML file is a list of flags:
each entry goes through the same parser, so both are checked alike; the command line comes later and wins.
"""

# No `from __future__ import annotations` here: TRL's parser reads the types of the dataclass below.
import argparse
import json
import math
import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from train import fuse, wrpo
from train.data import find_shipped
from train.errors import TrainError
from train.flags import check_flags, check_losses, flags_in, nearest
from train.fuse import Fusing
from train.wrpo import Mixing

# TRL's scripts name the data by these flags; here --data is the only way.
_OTHER_DATA = ("dataset_name", "dataset_config", "dataset_train_split", "dataset_test_split", "dataset_streaming",
               "datasets", "streaming", "test_split_size")  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A command as far as it can be read without TRL. `argv` is the command line without `--config`."""

    kind: str
    argv: list[str]
    config_path: Path | None
    config: dict[str, Any]
    data: list[str]
    weights: list[float] | None
    model: str | None
    help: bool


@dataclass
class DataArguments:
    """The flags that are not TRL's."""

    _argument_group_name: ClassVar[str] = "data and target model (datakit's own flags)"

    data: list[str] | None = field(
        default=None,
        metadata={
            "help": "What to train on, one or several: exports like runs/my/sft, or Parquet or JSON Lines in TRL's columns."
        },
    )
    data_weights: list[float] | None = field(
        default=None,
        metadata={"help": "One number for each --data: the proportion of their rows; none is taken twice."},
    )
    eval_share: float = field(
        default=0.0,
        metadata={"help": "Share of the prompts held out for evaluation; goes with --eval_strategy steps or epoch."},
    )
    overwrite: bool = field(
        default=False, metadata={"help": "Start anew in an --output_dir that holds a model or checkpoints: these are removed."}
    )


@dataclass
class WRPOArguments:
    """The flags of `train wrpo` alone, see wrpo.py."""

    _argument_group_name: ClassVar[str] = "WRPO"

    wrpo_alpha: float = field(
        default=0.1, metadata={"help": "Share of the chosen side that is the source's answer at the last step, from 0 to 1."}
    )
    wrpo_alpha_schedule: str = field(
        default="linear",
        metadata={"help": "linear: from 0 to --wrpo_alpha over the steps; constant: always --wrpo_alpha.",
                  "choices": ["linear", "constant"]},
    )  # fmt: skip


@dataclass
class FuseArguments:
    """The flags of `train fuse` alone, see fuse.py."""

    _argument_group_name: ClassVar[str] = "fusion"

    lm_weight: float = field(
        default=0.9,
        metadata={"help": "Weight of the text's own tokens, from 0 to 1; the rest is that of the teacher's distributions."},
    )
    row_weights: list[float] | None = field(
        default=None, metadata={"help": "One number for each --data: a factor of the loss of its rows."}
    )


OWN: dict[str, tuple[Any, ...]] = {
    "sft": (DataArguments,),
    "dpo": (DataArguments,),
    "wrpo": (DataArguments, WRPOArguments),
    "fuse": (DataArguments, FuseArguments),
}
"""The dataclasses of flags that are not TRL's, by command."""


@dataclass(frozen=True)
class Options:
    """Everything a training needs: `training` is TRL's SFTConfig or DPOConfig, `model` its ModelConfig."""

    kind: str
    data: DataArguments
    training: Any
    model: Any
    mixing: Mixing | None = None
    """Only for wrpo."""
    fusing: Fusing | None = None
    """Only for fuse."""


def read_request(kind: str, argv: list[str]) -> Request:
    """Read a command line and its YAML file without TRL. Raise TrainError for flags that name the data differently."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _raise_errors(parser, f"train {kind}: ")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--config", type=find_shipped)
    parser.add_argument("--data", nargs="+")
    parser.add_argument("--data_weights", "--data-weights", nargs="+", type=float)
    parser.add_argument("--model", "--model_name_or_path", "--model-name-or-path")
    flags_in(argv)
    known, _ = parser.parse_known_args(argv)
    config = read_config(known.config) if known.config and not known.help else {}
    for name in _OTHER_DATA:
        given = any(re.fullmatch(rf"--{name.replace('_', '[-_]')}(=.*)?", item) for item in argv)
        if given or name in config:
            where = f"--{name}" if given else f"{known.config}: {name}"
            raise TrainError(f"{where}: not supported; give the data by --data, for example --data runs/my/{kind}")
    data = known.data or config.get("data") or []
    weights = known.data_weights or config.get("data_weights")
    return Request(
        kind=kind,
        argv=_without_config(argv),
        config_path=known.config,
        config=config,
        data=[data] if isinstance(data, str) else data,
        weights=weights,
        model=known.model or config.get("model") or config.get("model_name_or_path"),
        help=known.help,
    )


def read_config(path: Path) -> dict[str, Any]:
    """Return the YAML mapping in `path` without `env`, which is put into the environment (as in TRL's own files)."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        config, written = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except OSError as error:
        raise TrainError(f"--config {path}: {error.strerror or error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise TrainError(f"--config {path}: {at}not a YAML file ({error.problem or error.context})") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise TrainError(f"--config {path}: not a YAML file ({' '.join(str(error).split())})") from None
    if config is None:
        return {}
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise TrainError(f"--config {path}: must be a mapping of flag names to values, like `beta: 10`")
    keys = [key for key, _ in written.value] if isinstance(written, yaml.MappingNode) else []
    for n, key in enumerate(keys):
        if key.value in (other.value for other in keys[:n]):
            line = key.start_mark.line + 1
            raise TrainError(f"--config {path}: line {line}: {key.value} is given a second time; remove one")
    env = config.pop("env", None) or {}
    if not isinstance(env, dict):
        raise TrainError(f"{path}: env: must be a mapping of variable names to values")
    os.environ.update({str(key): str(value) for key, value in env.items()})
    return config


def check_early(request: Request) -> None:
    """Check the flags as far as that is possible without importing TRL, see flags.py. Raise TrainError."""
    own = [name for section in OWN[request.kind] for name in section.__dataclass_fields__]
    check_flags(request.kind, request.argv, request.config, str(request.config_path), own)
    n_data, n_weights = len(request.data), len(request.weights or [])
    if n_weights and n_weights != n_data:
        raise TrainError(f"--data_weights: {n_weights} for {n_data} --data; give one number for each")
    if bad := [weight for weight in request.weights or [] if not (weight > 0 and math.isfinite(weight))]:
        raise TrainError(f"--data_weights {bad[0]:g}: give a number above 0, or leave that data out")


def parse_options(request: Request, has_test: bool = False) -> Options:
    """Parse all flags with TRL's parser. Raise TrainError, with the name and file of a flag that is unknown or has a bad value.

    `has_test`: True if some data has a test split to evaluate on.
    """
    data, training, model, *more = parse(build_parser(request.kind), request)
    mixing = Mixing(more[0].wrpo_alpha, more[0].wrpo_alpha_schedule) if request.kind == "wrpo" else None
    fusing = Fusing(more[0].lm_weight, tuple(more[0].row_weights or ())) if request.kind == "fuse" else None
    options = Options(request.kind, data, training, model, mixing, fusing)
    _check_values(options, has_test)
    return options


def parse(parser: Any, request: Request) -> list[Any]:
    """Return the parser's dataclasses, filled from the YAML file and the command line. Raise TrainError as parse_options
    does."""
    known = {name: action for action in parser._actions for name in action.option_strings}
    flags: list[str] = []
    for key, value in request.config.items():
        if f"--{key}" not in known:
            unknown = f"{request.config_path}: {key}: train {request.kind} has no such flag"
            raise TrainError(unknown + nearest(key, known))
        flags += _as_flags(parser, known[f"--{key}"], key, value)
    _raise_errors(parser, f"{request.config_path}: ")
    parser.parse_known_args(flags)
    _raise_errors(parser, f"train {request.kind}: ")
    # TRL sets it by default; newer versions of transformers have another name for it
    warnings.filterwarnings("ignore", message="`(is_)?gradient_checkpointing` is deprecated", category=FutureWarning)
    try:
        *found, _, rest = parser.parse_args_into_dataclasses(
            args=flags + request.argv, return_remaining_strings=True, look_for_args_file=False
        )
    except ValueError as error:  # raised by TRL's config classes
        raise TrainError(f"train {request.kind}: {_with_hint(str(error))}") from None
    if rest:
        raise TrainError(f"train {request.kind}: {rest[0].split('=')[0]}: no such flag{nearest(rest[0], known)}")
    return list(found)


def build_parser(kind: str) -> Any:
    """Return TRL's parser over its own config classes, with defaults that work on a laptop and send nothing anywhere."""
    import torch
    from transformers.utils import is_torch_bf16_gpu_available  # type: ignore[attr-defined]
    from trl import DPOConfig, ModelConfig, SFTConfig, TrlParser  # type: ignore[attr-defined]

    training = SFTConfig if kind in ("sft", "fuse") else DPOConfig
    parser: Any = TrlParser(
        (DataArguments, training, ModelConfig, *OWN[kind][1:]),  # type: ignore[arg-type]
        prog=f"train {kind}",
        usage=f"train {kind} --data EXPORT [EXPORT ...] --model MODEL [--config FILE.yaml] [any flag below]",
        description=_DESCRIPTION[kind],
        allow_abbrev=False,
    )
    group = next(group for group in parser._action_groups if group.title == DataArguments._argument_group_name)
    group.add_argument(
        "--model", dest="model_name_or_path", help="The target: a folder or a hub id (TRL's --model_name_or_path)."
    )
    parser._action_groups.remove(group)
    parser._action_groups.insert(0, group)  # the first group of the help
    group.add_argument("--config", help="YAML file of flags (learning_rate: 5e-6); the command line wins over it.")
    parser.set_defaults(output_dir=f"checkpoints/{kind}", report_to="none", bf16=is_torch_bf16_gpu_available())
    parser.set_defaults(dataloader_pin_memory=torch.accelerator.is_available())
    if kind in ("sft", "fuse"):
        parser.set_defaults(completion_only_loss=True)
    return parser


_DESCRIPTION = {
    "sft": "Fine-tune a target model on the demos of an sft export, on the completions only (TRL's SFTTrainer).",
    "dpo": "Train a target model on the pairs of a dpo export (TRL's DPOTrainer). The model as it is given is also the "
    "reference. FuseChat's length-normalised DPO is --loss_type sigmoid_norm --beta 10.",
    "wrpo": "Train a target model on its own pairs and the best answer of the source models (a wrpo export): TRL's DPOTrainer "
    "with WRPO's loss. The model as it is given is also the reference.",
    "fuse": "Train a target model on texts and their teachers' distributions (a fusion export): TRL's SFTTrainer with the loss "
    "of FuseChat.",
}


def _as_flags(parser: Any, action: argparse.Action, key: str, value: object) -> list[str]:
    """Return one entry of a YAML file as command line flags."""
    if value is None:  # a command line cannot express a null text: such a flag keeps its default
        return [] if action.type is str or action.default is None else [f"--{key}=none"]
    if isinstance(value, dict):
        return [f"--{key}={json.dumps(value)}"]
    if isinstance(value, list) and action.nargs is None and action.type is str:
        parser.set_defaults(**{action.dest: value})  # report_to and such: a list in YAML only
        return []
    if isinstance(value, list):
        return [f"--{key}", *map(str, value)]
    return [f"--{key}={value}"]


def _check_values(options: Options, has_test: bool) -> None:
    training, share = options.training, options.data.eval_share
    if not 0 <= share < 1:
        raise TrainError(f"--eval_share {share}: must be at least 0 and below 1")
    evaluates = str(getattr(training.eval_strategy, "value", training.eval_strategy)) != "no"
    if share and not evaluates:
        raise TrainError(f"--eval_share {share}: nothing evaluates the rows held out; add --eval_strategy epoch")
    if evaluates and not share and not has_test:
        raise TrainError("--eval_strategy: there is nothing to evaluate on; hold prompts out with --eval_share 0.02")
    if options.kind not in ("sft", "fuse"):
        help = type(training).__dataclass_fields__["loss_type"].metadata.get("help", "")
        check_losses(options.kind, training.loss_type, help)
    if options.mixing is not None:
        wrpo.check(training, options.mixing)
    if options.fusing is not None:
        fuse.check(training, options.fusing, len(options.data.data or ()))


def _with_hint(message: str) -> str:
    if "support bf16" in message:
        return "bf16: this machine has no GPU that supports it; add --bf16 false (or --use_cpu, slow)"
    return message


def _without_config(argv: list[str]) -> list[str]:
    rest: list[str] = []
    items = iter(argv)
    for item in items:
        if item == "--config":
            next(items, None)
        elif not item.startswith("--config="):
            rest.append(item)
    return rest


def _raise_errors(parser: Any, where: str) -> None:
    """Make the parser raise TrainError, with `where` and one line, and not print its usage and exit."""

    def fail(message: str) -> NoReturn:
        raise TrainError(where + message)

    parser.error = fail
