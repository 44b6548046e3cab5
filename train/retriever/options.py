"""The flags of `train retriever`: its own, and those of transformers' TrainingArguments."""

# No `from __future__ import annotations` here: TRL's parser reads the types of the dataclass below.
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from train.errors import TrainError


@dataclass
class RetrieverArguments:
    """The flags that are not transformers'."""

    _argument_group_name: ClassVar[str] = "dialogues, knowledge and losses (datakit's own flags)"

    data: list[str] | None = field(
        default=None, metadata={"help": "Dialogues to train on: JSON Lines (also .gz) of {turns: [{user: ..., system: ...}]}."}
    )
    eval_data: str | None = field(default=None, metadata={"help": "Dialogues on which the model is evaluated during training."})
    test_data: str | None = field(default=None, metadata={"help": "Dialogues that are answered and measured at the end."})
    kb: str | None = field(default=None, metadata={"help": "The knowledge base: JSON Lines or Parquet, one entity per row."})
    columns: list[str] | None = field(default=None, metadata={"help": "The columns to read; the first one names an entity."})
    spellings: str = field(default="{}", metadata={"help": 'Spellings to unify, as JSON: \'{"center": "centre"}\'.'})
    encoder: str = field(default="scratch", metadata={"help": "A BERT to begin with (folder or hub id), or scratch."})
    generator: str = field(default="scratch", metadata={"help": "A T5 to begin with (folder or hub id), or scratch."})
    hidden_size: int = field(default=128, metadata={"help": "Width of models from scratch."})
    num_layers: int = field(default=2, metadata={"help": "Layers of models from scratch, per encoder and per half of T5."})
    top: int = field(default=7, metadata={"help": "Entities that are retrieved for an answer."})
    negative: bool = field(default=True, metadata={"help": "In training, also retrieve the entity with the lowest score."})
    retriever_steps: int = field(
        default=200, metadata={"help": "First steps, in which only the retriever learns, by distant supervision."}
    )
    retriever_batch: int = field(
        default=0,
        metadata={"help": "Turns per such step, filled up at random: their entities are the negatives."},
    )
    generator_steps: int = field(
        default=0,
        metadata={"help": "Next steps, in which only the generator learns, for models from scratch."},
    )
    nll_weight: float = field(
        default=1.0, metadata={"help": "Weight of the response's likelihood with all retrieved entities."}
    )
    mml_weight: float = field(
        default=1.0, metadata={"help": "Weight of the marginal likelihood, which trains the retriever; 0 leaves it unchanged."}
    )
    ctr_weight: float = field(
        default=0.0, metadata={"help": "Weight of the contrast between answers with an entity and without."}
    )
    meta: str = field(
        default="prefix",
        metadata={
            "help": "How the generator sees rank, confidence and mention of an entity.",
            "choices": ["prefix", "prompt", "none"],
        },
    )
    confidence: list[float] = field(
        default_factory=lambda: [0.25, 0.75], metadata={"help": "The two edges between low, middle and high confidence."}
    )
    max_retriever_length: int = field(default=128, metadata={"help": "Tokens that an encoder reads."})
    max_context_length: int = field(
        default=200, metadata={"help": "Tokens of a conversation for the generator, its last ones."}
    )
    max_entity_length: int = field(default=100, metadata={"help": "Tokens of an entity for the generator."})
    max_response_length: int = field(default=64, metadata={"help": "Tokens of a response."})
    overwrite: bool = field(
        default=False, metadata={"help": "Start anew in an --output_dir that holds a model or checkpoints: these are removed."}
    )

    @property
    def spelt(self) -> dict[str, str]:
        """The parsed `spellings`."""
        found: dict[str, str] = json.loads(self.spellings)
        return found


def check(own: RetrieverArguments) -> None:
    """Raise TrainError for flags that are missing or impossible."""
    for name, example in (("data", "train.jsonl"), ("kb", "kb.jsonl"), ("columns", "name area food")):
        if not getattr(own, name):
            raise TrainError(f"train retriever: --{name} is needed, for example --{name} {example}")
    try:
        spelt = json.loads(own.spellings)
    except ValueError:
        spelt = None
    if not isinstance(spelt, dict) or not all(isinstance(value, str) for value in spelt.values()):
        raise TrainError(f'--spellings {own.spellings}: give a JSON object of words, like \'{{"center": "centre"}}\'')
    edges = own.confidence
    if len(edges) != 2 or not 0 < edges[0] <= edges[1] < 1:
        raise TrainError(f"--confidence {' '.join(map(str, edges))}: give two numbers between 0 and 1, the lower one first")
    if own.top < 1:
        raise TrainError(f"--top {own.top}: at least one entity is retrieved")
    _check_weights(own)
    for path in (*(own.data or ()), own.kb, own.eval_data, own.test_data):
        if path is not None and not Path(path).is_file():
            raise TrainError(f"train retriever: no such file: {path}")


def _check_weights(own: RetrieverArguments) -> None:
    for name in ("nll_weight", "mml_weight", "ctr_weight"):
        if getattr(own, name) < 0:
            raise TrainError(f"--{name} {getattr(own, name):g}: a weight is 0 or more")
    if own.generator_steps and not own.nll_weight:
        raise TrainError(f"--generator_steps {own.generator_steps}: the generator learns by --nll_weight, which is 0")
    if not own.nll_weight + own.mml_weight + own.ctr_weight:
        raise TrainError("train retriever: all three weights are 0, so nothing is learnt; add --nll_weight 1")


def build_parser() -> Any:
    """Return TRL's parser over these flags and transformers' TrainingArguments, with defaults for a laptop without network."""
    import torch
    from transformers import TrainingArguments
    from transformers.utils import is_torch_bf16_gpu_available  # type: ignore[attr-defined]
    from trl import TrlParser  # type: ignore[attr-defined]

    parser: Any = TrlParser(
        (RetrieverArguments, TrainingArguments),  # type: ignore[arg-type]
        prog="train retriever",
        usage="train retriever --data DIALOGUES --kb KB --columns NAME ... [--config FILE.yaml] [any flag below]",
        description="Train a retriever of knowledge and a generator of responses together (MK-TOD, arXiv 2310.08877).",
        allow_abbrev=False,
    )
    group = next(group for group in parser._action_groups if group.title == RetrieverArguments._argument_group_name)
    parser._action_groups.remove(group)
    parser._action_groups.insert(0, group)  # the first group of the help
    group.add_argument("--config", help="YAML file of flags (top: 5); the command line wins over it.")
    parser.set_defaults(output_dir="checkpoints/retriever", report_to="none", bf16=is_torch_bf16_gpu_available())
    parser.set_defaults(dataloader_pin_memory=torch.accelerator.is_available(), remove_unused_columns=False)
    parser.set_defaults(ddp_find_unused_parameters=True)  # the warm-up reaches no parameter of the generator
    return parser
