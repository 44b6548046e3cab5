"""Read published model folders without torch: config.json, the tensors in safetensors files, tokenizer, template.

Every function here raises BadInput that names folder, file, field or tensor, and what to do about it.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datakit.errors import BadInput, needs_extra
from datakit.recipe import LocalReward
from datakit.rewards.local.conversations import Limit

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Shape = tuple[int, ...]

WEIGHTS = "model.safetensors"
SMALL_FILES = ("*.json", "*.jinja")
INDEX = "model.safetensors.index.json"
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_MAX_HEADER = 100_000_000  # bytes; the safetensors format's own limit
_COMMIT = re.compile(r"[0-9a-f]{40}")


def check_pinned(model: str, revision: str | None) -> None:
    """Refuse a hub model whose revision is not a commit: a branch or a tag can move, and its scores would mix."""
    if revision is None or not _COMMIT.fullmatch(revision):
        raise BadInput(
            f"score.revision: {model} is read from the hub, so pin the commit (40 hex digits, from the model page's "
            f"'Files and versions'); got {revision!r}. Or give a model folder as score.model"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path.parent}: {path.name} is missing; give the whole published model folder") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as JSON (a Git LFS pointer?): {error}; fetch it again") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path}: is not a JSON object")
    return value


def positive_fields(folder: Path, config: Mapping[str, Any], fields: Iterable[str]) -> dict[str, int]:
    """Return these fields of config.json, which must be present and be positive whole numbers."""
    values = {}
    for field in fields:
        value = config.get(field)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            shown = f"is {value!r}, not a positive whole number" if field in config else "is missing"
            raise BadInput(f"{folder / 'config.json'}: {field} {shown}; is this the model that the recipe means?")
        values[field] = value
    return values


def weight_files(folder: Path) -> list[Path]:
    """Return the checkpoint's safetensors files: the single file if it exists (as transformers prefers), else the shards."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise BadInput(f"{folder}: neither {WEIGHTS} nor {INDEX} is there; give the whole published model folder")
    names = read_json(folder / INDEX).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise BadInput(f"{folder / INDEX}: has no weight_map from tensors to files; fetch it again")
    shards = [folder / name for name in sorted(set(names.values()))]
    for shard in shards:
        if not shard.is_file():
            raise BadInput(f"{folder}: {shard.name} is missing ({INDEX} names it); fetch it")
    return shards


def tensor_shapes(folder: Path) -> dict[str, Shape]:
    """Return the shape of every tensor of the checkpoint, by name; reads the files' headers only."""
    return {name: shape for path in weight_files(folder) for name, shape in _header_shapes(path).items()}


def _header_shapes(path: Path) -> dict[str, Shape]:
    """Read the header of a safetensors file: 8 bytes of header length, a JSON header, and the tensors at its offsets."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = file.read(length) if 0 < length <= _MAX_HEADER else b""
    try:
        entries = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
        n_bytes = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (ValueError, AttributeError, TypeError, LookupError):
        raise BadInput(f"{path}: is not a safetensors file (a Git LFS pointer?); fetch it again") from None
    if path.stat().st_size != n_bytes:
        raise BadInput(f"{path}: has {path.stat().st_size} bytes where its header says {n_bytes}; fetch it again")
    return shapes


def check_tensors(folder: Path, wanted: Mapping[str, Shape]) -> None:
    """Refuse a checkpoint that lacks a wanted tensor or has it in another shape. Other tensors are ignored."""
    found = tensor_shapes(folder)
    for name, shape in wanted.items():
        if name not in found:
            raise BadInput(f"{folder}: the checkpoint has no tensor {name}; is this the model that the recipe means?")
        if found[name] != shape:
            raise BadInput(
                f"{folder}: tensor {name} has shape {list(found[name])}, config.json says {list(shape)}; "
                "config.json and weights are not of one model"
            )


def check_tokenizer(folder: Path, special_tokens: Iterable[str]) -> None:
    """Refuse a folder without tokenizer.json, without a chat template, or whose tokenizer lacks one of the tokens."""
    if not chat_template(folder):
        raise BadInput(
            f"{folder / 'tokenizer_config.json'}: has no chat_template, and there is no {_TEMPLATES[0]}; "
            "give the whole published model folder"
        )
    added = read_json(folder / "tokenizer.json").get("added_tokens") or []
    known = {token.get("content") for token in added}
    for token in special_tokens:
        if token not in known:
            raise BadInput(f"{folder / 'tokenizer.json'}: has no token {token}, so an answer's header cannot be found")


def chat_template(folder: Path) -> str:
    """Return the text of everything that may be the folder's chat template, joined; empty if there is none."""
    texts = [str(read_json(folder / "tokenizer_config.json").get("chat_template") or "")]
    texts += [path.read_text(encoding="utf-8") for name in _TEMPLATES if (path := folder / name).is_file()]
    return "\n".join(filter(None, texts))


def download(model: str, revision: str | None, files: Iterable[str] = (*SMALL_FILES, "*.safetensors")) -> Path:
    """Fetch a hub model's files (configuration, tokenizer and weights, or those named) unless cached; return their folder."""
    check_pinned(model, revision)
    with needs_extra("local", f"fetching {model}"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(files)))
    except (OSError, HFValidationError) as error:  # OSError: HTTP errors, offline and not cached, disk full
        reason = " ".join(str(error).split())
        raise BadInput(f"score.model: {model} at revision {revision} cannot be fetched: {reason:.300}") from error


def limit_of(reward: LocalReward, positions: int) -> Limit:
    """Return how long a conversation may be: `max_tokens` of the recipe, or all of the model's positions."""
    if reward.max_tokens is not None and reward.max_tokens > positions:
        raise BadInput(f"score.max_tokens: {reward.max_tokens} is more than the {positions} positions of {reward.model}")
    return Limit(reward.max_tokens or positions, reward.truncate)


class Checkpoint(NamedTuple):
    """A loaded model folder."""

    folder: Path
    config: dict[str, Any]
    tokenizer: PreTrainedTokenizerBase
    model: Any  # an instance of the transformers class that was asked for


def load_checkpoint(
    reward: LocalReward, check: Callable[[Path], dict[str, Any]], kind: Any, device: torch.device
) -> Checkpoint:
    """Load the section's folder, or its model from the hub (see load_folder). Also raises BadInput if `check` refuses it."""
    folder = reward.location or download(reward.model, reward.revision)
    config = check(folder)
    return Checkpoint(folder, config, *load_folder(folder, kind, reward.dtype, device))


def load_folder(folder: Path, kind: Any, dtype: str, device: torch.device) -> tuple[PreTrainedTokenizerBase, Any]:
    """Return the tokenizer of a model folder, and its model as the transformers class `kind` loads it, on a device.

    Raises BadInput if transformers does not know it, or would initialise tensors that are missing.
    """
    import torch
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)  # tokenizer.json as it is, whatever class is named
    draws = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # only the command line draws
    try:
        as_type = dtype if dtype == "auto" else getattr(torch, dtype)
        model, report = kind.from_pretrained(folder, dtype=as_type, use_safetensors=True, output_loading_info=True)
    except ValueError as error:  # an architecture that it does not know; remote code is never run
        raise BadInput(f"{folder}: transformers cannot load it: {str(error).splitlines()[0]:.300}") from error
    finally:
        if draws:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    if missing := ", ".join(sorted(report["missing_keys"])):
        raise BadInput(f"{folder}: the checkpoint lacks {missing}; config.json and weights are not of one model")
    return tokenizer, model.to(device).eval()
