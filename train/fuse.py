"""Fusion by distributions: the target learns the tokens of a text and, per token, what a teacher predicted there.

FuseChat (Wan et al., arXiv 2402.16107, equation 5); ProFuser (arXiv 2408.04998) has lm_weight = 1 / (1 + beta):

    loss = lm_weight * CE(text) + (1 - lm_weight) * mean over tokens of -sum_k q_k log p(k)

q is the distribution over the teacher's likeliest tokens, mapped to the target's tokens (align.py) when the rows are tokenized.
The trainer is TRL's SFTTrainer with other rows (two more columns), batches and loss; the loss computes logits only at labelled
positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.align import Aligner, Reading, Soft, Tokens, tokens_of
from train.data import VOCABULARY
from train.errors import TrainError
from train.spelling import Vocabulary, vocabulary_of

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

REFUSED = {
    "packing": False,
    "padding_free": False,
    "loss_type": "nll",
    "label_smoothing_factor": 0.0,
    "use_liger_kernel": False,
    "assistant_only_loss": False,
    "completion_only_loss": True,
    "truncation_mode": "keep_start",
}
"""Options that only TRL's own loss or rows support, and the value that each must have here."""
CHUNK = 2**22  # logits converted to probabilities at a time: 16 MB in float32
LITTLE = 0.5
"""A warning is given if a smaller share of the tokens is aligned."""
Batch = dict[str, Any]
Row = dict[str, Any]


@dataclass
class Fusing:
    """The settings of the loss, and the vocabularies of the teachers."""

    lm_weight: float = 0.9
    row_weights: tuple[float, ...] = ()
    """One per `--data`; empty: 1 each."""
    vocabularies: dict[tuple[str, str | None], Vocabulary] = field(default_factory=dict)
    """The vocabulary of each teacher, by name and revision."""


def check(training: Any, fusing: Fusing, n_data: int) -> None:
    """Raise TrainError for options that this loss does not support."""
    if not 0 <= fusing.lm_weight <= 1:
        raise TrainError(f"--lm_weight {fusing.lm_weight:g}: must be a share of the loss, from 0 to 1")
    if fusing.row_weights and len(fusing.row_weights) != n_data:
        raise TrainError(f"--row_weights: {len(fusing.row_weights)} for {n_data} --data; give one number for each")
    if bad := [weight for weight in fusing.row_weights if not 0 < weight < float("inf")]:
        raise TrainError(f"--row_weights {bad[0]:g}: give a number above 0, or leave that data out")
    for name, plain in REFUSED.items():
        if (given := getattr(training, name, plain)) not in (plain, None):
            raise TrainError(f"train fuse: --{name} {given}: train fuse does not support this; remove it, or use train sft")


def read_vocabularies(folders: Sequence[Path]) -> dict[tuple[str, str | None], Vocabulary]:
    """Return the bytes of the teachers' tokens, by name and revision, from the vocabulary files in `folders`."""
    import polars as pl

    rows = pl.concat([pl.read_parquet(folder / VOCABULARY) for folder in folders])
    return {
        (teacher, revision): [None if token is None else bytes.fromhex(token) for token in spelt]
        for teacher, revision, spelt in rows.select("teacher", "teacher_revision", "token_hex").iter_rows()
    }


@dataclass
class Aligned:
    """How many of the target's tokens were aligned with a teacher: numbers of one text, or sums over all."""

    places: float = 0
    """Tokens of the target that belong to the texts."""
    aligned: float = 0
    chained: float = 0
    """Aligned tokens that consist of whole tokens of the teacher."""
    mass: float = 0.0
    """Sum over the aligned tokens of the probability that was kept."""
    odd: float = 0
    """Rows without an aligned token, because the target's chat template writes the completion differently."""

    @classmethod
    def of(cls, softs: Mapping[int, Soft], n_places: int) -> Aligned:
        """Return the numbers of one text with `n_places` tokens; `softs` has the aligned ones by position."""
        chained, mass = sum(soft.chained for soft in softs.values()), sum(soft.mass for soft in softs.values())
        return cls(n_places, len(softs), chained, mass, n_places == 0)

    @property
    def share(self) -> float:
        """The share of the tokens that are aligned."""
        return self.aligned / self.places if self.places else 0.0

    def __str__(self) -> str:
        chained, mass = (value / self.aligned if self.aligned else 0.0 for value in (self.chained, self.mass))
        return (
            f"{self.share:.1%} of {self.places:,.0f} places aligned with teachers; of these {chained:.1%} by the chain rule, "
            f"and {mass:.3f} of the probability kept"
        )

    def warnings(self) -> Iterator[str]:
        """Yield what the user should be warned of."""
        if self.share < LITTLE:
            yield f"only {self}: the other places learn the text alone; teachers and target may have very different tokenizers"
        if self.odd:
            yield f"rows without any place aligned: {self.odd:.0f} (the target's chat template writes the answer differently)"


class Softening:
    """Adds teacher_ids and teacher_probs to rows that TRL has tokenized: `width` numbers for each label, padded with 0."""

    def __init__(self, target: Vocabulary, fusing: Fusing) -> None:
        self.target = target
        self.fusing = fusing
        self.aligners: dict[tuple[str, str | None], Aligner] = {}
        self.width = 1

    def soften(self, rows: Dataset, num_proc: int | None) -> tuple[Dataset, Aligned]:
        """Return the rows with the teachers' columns, and how much was aligned.

        All rows are read twice: first to count which tokens of both vocabularies stand for the same bytes (`Aligner.count`).
        """
        from datasets import Features, List, Value

        for row in rows:
            target, reading, _, _ = self._read(row)
            self._aligner(row, len(reading.top[0]) if reading.top else 1).count(target, reading.tokens)
        kept = {name: rows.features[name] for name in ("input_ids", "labels", "weight")}
        lists = {"teacher_ids": List(Value("int32")), "teacher_probs": List(Value("float32"))}
        numbers = {name: Value("float64") for name in vars(Aligned())}
        soft = rows.map(
            self._soften,
            features=Features({**kept, **lists, **numbers}),
            remove_columns=[name for name in rows.column_names if name not in kept],
            num_proc=num_proc,
            desc="Aligning teachers",
        )
        aligned = Aligned(**{name: sum(soft[name]) for name in numbers})
        return soft.remove_columns(list(numbers)), aligned

    def _soften(self, row: Row) -> Row:
        target, reading, first, labelled = self._read(row)
        softs = self._aligner(row, 1).soften(target, reading)
        ids, probabilities = list[int](), list[float]()
        for at, gold in enumerate(labelled):
            soft = softs.get(at - first) if at >= first else None
            found = list(soft.probabilities.items()) if soft is not None else [(gold, 1.0)]
            found += [(gold, 0.0)] * (self.width - len(found))
            ids += [token for token, _ in found]
            probabilities += [probability for _, probability in found]
        return {"teacher_ids": ids, "teacher_probs": probabilities, **vars(Aligned.of(softs, len(target.ids)))}

    def _read(self, row: Row) -> tuple[Tokens, Reading, int, list[int]]:
        """Return the target's tokens of the text, the teacher's reading, the index of the former's first token among the
        labels, and the labels."""
        labelled = [label for label in row["labels"] if label != -100]
        first, target = tokens_of(labelled, self.target, row["completion"][-1]["content"].encode())
        n = len(row["token_ids"])
        k = len(row["top_ids"]) // n if n else 0
        pairs = list(zip(row["top_ids"], row["top_logprobs"], strict=True))
        top = [pairs[at * k : (at + 1) * k] for at in range(n)]
        return target, Reading(Tokens(row["token_ids"], row["ends"]), row["token_logprobs"], top), first, labelled

    def _aligner(self, row: Row, top_k: int) -> Aligner:
        key = (row["teacher"], row["teacher_revision"])
        if key not in self.aligners:
            if key not in self.fusing.vocabularies:
                raise TrainError(f"--data: {VOCABULARY} does not have the teacher {key[0]}; write the export again")
            self.aligners[key] = Aligner(self.fusing.vocabularies[key], self.target, top_k)
            self.width = max(self.width, top_k)
        return self.aligners[key]


@dataclass(frozen=True)
class SoftBatches:
    """A collator: TRL's batches with teacher_ids and teacher_probs [B, T, K] beside the labels [B, T], and weight [B]."""

    plain: Callable[[list[Batch]], Batch]

    def __call__(self, examples: list[Batch]) -> Batch:
        import torch

        batch = self.plain([{name: example[name] for name in ("input_ids", "labels")} for example in examples])
        labels = batch["labels"]
        n_labels = [sum(label != -100 for label in example["labels"]) for example in examples]
        width = max((len(one["teacher_ids"]) // n for one, n in zip(examples, n_labels, strict=True) if n), default=1)
        ids = torch.zeros(*labels.shape, width, dtype=torch.long)
        probabilities = torch.zeros(*labels.shape, width)
        for at, example in enumerate(examples):
            places = labels[at] != -100
            k = len(example["teacher_ids"]) // max(1, n_labels[at])
            ids[at, places, :k] = torch.tensor(example["teacher_ids"]).view(-1, k)
            probabilities[at, places, :k] = torch.tensor(example["teacher_probs"], dtype=torch.float32).view(-1, k)
        weight = torch.tensor([example["weight"] for example in examples], dtype=torch.float32)
        return batch | {"teacher_ids": ids, "teacher_probs": probabilities, "weight": weight}


def fusion_losses(logits: Tensor, gold: Tensor, ids: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return per position [N]: -log p(gold), -sum_k q_k log p(k), and whether the likeliest token is the gold one.

    logits [N, V]; gold [N], token ids; ids [N, K] and probabilities q [N, K], the teacher's tokens. Equation 5 of FuseChat
    (arXiv 2402.16107), before the two terms are weighted. Logits are converted to float32 in chunks, once more for the
    gradient, so that nothing else of the vocabulary's size stays in memory.
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    def of_some(some: Tensor, gold: Tensor, ids: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        some = some.float()
        total = some.logsumexp(-1)
        own = total - some.gather(1, gold[:, None])[:, 0]
        return own, (probabilities * (total[:, None] - some.gather(1, ids))).sum(-1)

    size = max(1, CHUNK // logits.shape[-1])
    split: Any = torch.split  # each slice would have a gradient of the whole size
    parts = [
        checkpoint(of_some, *some, use_reentrant=False)
        for some in zip(*(split(one, size) for one in (logits, gold, ids, probabilities)), strict=True)
    ]
    with torch.no_grad():
        right = torch.cat([some.argmax(-1) for some in split(logits, size)]) == gold
    own, soft = zip(*parts, strict=True)
    return torch.cat(own), torch.cat(soft), right


def soft_loss(trainer: Any, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
    """Compute the trainer's loss, a scalar: sum over tokens of w (lm_weight CE + (1 - lm_weight) F), divided by their number.

    w is the weight of the token's row. The divisor is the number of labelled tokens (of all processes and accumulated batches
    if `num_items_in_batch` is given, as in SFTTrainer) and not the sum of the weights: a weight of 0.1 on all rows is a tenth
    of the loss, as in ProFuser's w1 L_infer + w2 L_train (arXiv 2408.04998).

    inputs: input_ids, attention_mask and labels [B, T] (-100: not learnt), teacher_ids and teacher_probs [B, T, K], weight [B].
    """
    import torch

    labels = inputs["labels"][:, 1:]
    mask = labels != -100
    places = mask.any(0).nonzero()[:, 0]
    plain = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    outputs = model(**plain, use_cache=False, logits_to_keep=places)
    mask = mask[:, places]
    ids, probabilities = (inputs[name][:, 1:][:, places][mask] for name in ("teacher_ids", "teacher_probs"))
    own, soft, right = fusion_losses(outputs.logits[mask], labels[:, places][mask], ids, probabilities)
    weights = inputs["weight"][:, None].expand_as(mask)[mask]
    share = trainer.fusing.lm_weight
    n_items = mask.sum() if num_items_in_batch is None else num_items_in_batch
    loss = (weights * (share * own + (1 - share) * soft)).sum() / torch.as_tensor(n_items).clamp(min=1)
    if trainer.args.average_tokens_across_devices and num_items_in_batch is not None:
        loss = loss * trainer.accelerator.num_processes
    _measure(trainer, inputs, own.detach(), soft.detach(), right)
    return (loss, outputs) if return_outputs else loss


def _measure(trainer: Any, inputs: Batch, own: Tensor, soft: Tensor, right: Tensor) -> None:
    """Log the unweighted mean losses and the accuracy over the tokens of all processes, under TRL's names if it has one.

    own, soft, right: [N], per labelled token, see `fusion_losses`.
    """
    import torch

    mode, gather = "train" if trainer.model.training else "eval", trainer.accelerator.gather_for_metrics
    sums = torch.stack([own.sum(), soft.sum(), right.sum().float(), own.new_tensor(float(len(own)))])
    sums = gather(sums[None]).sum(0)
    for name, total in zip(("lm_loss", "fusion_loss", "mean_token_accuracy"), sums[:3].tolist(), strict=True):
        trainer._metrics[mode][name].append(total / max(1.0, sums[3].item()))
    if mode == "train":
        trainer._total_train_tokens += gather(inputs["attention_mask"].sum()).sum().item()
    trainer._metrics[mode]["num_tokens"] = [trainer._total_train_tokens]


@cache
def _soft_trainer() -> Any:
    from trl import SFTTrainer  # type: ignore[attr-defined]

    parent: Any = SFTTrainer

    class SoftTrainer(parent):  # type: ignore[misc]
        fusing = Fusing()
        aligned = Aligned()
        compute_loss = soft_loss

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if self.aux_loss_enabled:
                raise TrainError(
                    "train fuse: the balancing loss of a mixture of experts is not supported; add --router_aux_loss_coef 0.0"
                )
            self.data_collator: Any = SoftBatches(self.data_collator)

        def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: Any, *rest: Any) -> Dataset:
            rows = super()._prepare_dataset(dataset, processing_class, args, *rest)
            if "teacher_ids" in rows.column_names:
                return rows
            with args.main_process_first(desc="aligning teachers"):
                soft, aligned = Softening(vocabulary_of(processing_class), self.fusing).soften(rows, args.dataset_num_proc)
            if rest[-1] == "train":
                self.aligned = aligned
            return soft

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            more = ("teacher_ids", "teacher_probs", "weight")
            self._signature_columns += [name for name in more if name not in self._signature_columns]

    return SoftTrainer


def trainer_class(fusing: Fusing) -> Any:
    """Return a class: TRL's SFTTrainer with this loss and these settings."""
    return type("FuseTrainer", (_soft_trainer(),), {"fusing": fusing})
