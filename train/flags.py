"""TRL's flags, read from the source text of its config classes: a misspelt flag is reported before anything heavy is imported.

TRL's own parser checks everything again later (options.py). If TRL's files differ from what is known here, that is the only
check.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from train.errors import TrainError

_TRAINING = ("transformers", "training_args.py", "TrainingArguments")
_SHARED = (("trl", "trainer/base_config.py", "_BaseConfig"), ("trl", "trainer/model_config.py", "ModelConfig"), _TRAINING)
_CLASSES = {
    "sft": (("trl", "trainer/sft_config.py", "SFTConfig"), *_SHARED),
    "dpo": (("trl", "trainer/dpo_config.py", "DPOConfig"), *_SHARED),
    "wrpo": (("trl", "trainer/dpo_config.py", "DPOConfig"), *_SHARED),
    "fuse": (("trl", "trainer/sft_config.py", "SFTConfig"), *_SHARED),
    "retriever": (_TRAINING,),
}
ALIASES = {"model": "model_name_or_path"}


@dataclass(frozen=True)
class Flag:
    """A flag of TRL. `type` is its annotation as text."""

    type: str
    help: str


@cache
def flags_of(kind: str) -> dict[str, Flag]:
    """Return all flags of the trainer and the model by name; none if the classes are not found."""
    flags: dict[str, Flag] = {}
    for package, file, name in _CLASSES[kind]:
        spec = importlib.util.find_spec(package)
        path = Path(spec.origin).parent / file if spec is not None and spec.origin else None
        if path is None or not path.is_file():
            return {}
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
        if found is None:
            return {}
        for node in found.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("_"):
                flags.setdefault(node.target.id, Flag(ast.unparse(node.annotation), _help(node.value)))
    return flags


def _help(value: ast.expr | None) -> str:
    texts = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant)] if value is not None else []
    return " ".join(text for text in texts if isinstance(text, str))


def check_flags(kind: str, argv: list[str], config: dict[str, Any], config_name: str, own: Iterable[str]) -> None:
    """Raise TrainError for an unknown flag, and for a value that is not a number but must be. `own`: datakit's own flags."""
    flags = flags_of(kind)
    if not flags:
        return
    known = {*flags, *own, *ALIASES, "help"}
    for name, values in flags_in(argv).items():
        bare = name.removeprefix("no_") if name.startswith("no_") else name
        if bare not in known:
            raise TrainError(f"train {kind}: --{name}: no such flag{nearest('--' + name, known)}")
        _check_value(f"train {kind}: ", kind, bare, values)
    for name, value in config.items():
        if name not in known:
            raise TrainError(f"{config_name}: {name}: train {kind} has no such flag{nearest(name, known)}")
        if value is not None and not isinstance(value, dict):
            _check_value(f"{config_name}: ", kind, name, [str(one) for one in (value if isinstance(value, list) else [value])])


def flags_in(argv: list[str]) -> dict[str, list[str]]:
    """Return every flag of a command line with its values. Raise TrainError for a flag that is given twice."""
    found: dict[str, list[str]] = {}
    last: list[str] = []
    for item in argv:
        if not item.startswith("--"):
            last.append(item)
            continue
        name, equals, value = item[2:].partition("=")
        name = name.replace("-", "_")
        if (same := ALIASES.get(name, name)) in {ALIASES.get(one, one) for one in found}:
            several = "; several exports follow one --data: --data A B" if same == "data" else ""
            raise TrainError(f"--{name}: given twice{several}")
        last = found.setdefault(name, [value] if equals else [])
    return found


def _check_value(where: str, kind: str, name: str, values: list[str]) -> None:
    flag = flags_of(kind).get(name)
    if flag is None or any(value in ("none", "null", "") for value in values):
        return
    of = next((of for of in (int, float) if re.fullmatch(rf"{of.__name__}( \| None)?", flag.type)), None)
    for value in values if of is not None else []:
        try:
            of(value)  # type: ignore[misc]
        except ValueError:
            raise TrainError(
                f"{where}argument --{name}/--{name.replace('_', '-')}: invalid {of.__name__} value: {value!r}"  # type: ignore[union-attr]
            ) from None
    if name == "loss_type" and kind not in ("sft", "fuse"):
        check_losses(kind, values, flag.help)


def check_losses(kind: str, names: Iterable[str], help: str) -> None:
    """Raise TrainError for an unknown loss, which TRL notices only at the first step; the names are in its help text."""
    known = re.findall(r"`'(\w+)'`", help)
    for name in names:
        if known and name not in known:
            raise TrainError(f"train {kind}: loss_type {name}: TRL has no such loss{nearest(name, known)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion as the end of a sentence; empty if nothing is similar."""
    bare = name.split("=")[0].lstrip("-").replace("-", "_")
    names = sorted({option.lstrip("-").replace("-", "_") for option in known})
    close = difflib.get_close_matches(bare, names, n=1)
    dashes = "--" if name.startswith("-") else ""
    return f"; did you mean {dashes}{close[0]}?" if close else ""
