"""WRPO: DPO whose chosen side is a mixture of the target's own answer and the best answer of the source models (Yang et al.,
"Weighted-Reward Preference Optimization for Implicit Model Fusion", arXiv 2412.03187, equation 8, section 3.3).

With r(y) = log pi(y|x) - log ref(y|x), where yws is the source's answer, ywt and yl the target's own right and wrong ones,

    loss = -log sigmoid(beta (a r(yws) + (1 - a) r(ywt) - r(yl))),    a from 0 to --wrpo_alpha, linear in the steps

TRL has no such loss: it adds up several losses, and here the answers are mixed inside the sigmoid. So this is its DPOTrainer
with other rows (a fourth column), batches (three answers per prompt) and `_compute_loss`. That method is private, so TRL is
pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from train.errors import TrainError

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

LOSSES = ("sigmoid", "sigmoid_norm")
REFUSED = {"precompute_ref_log_probs": False, "use_weighting": False, "ld_alpha": None, "f_divergence_type": "reverse_kl"}
"""Options that only TRL's own loss supports, and the value that each must have here."""
Batch = dict[str, Any]


@dataclass(frozen=True)
class Mixing:
    """The share of the chosen side that is the source's answer: `end` at the last step; constant, or growing from 0."""

    end: float = 0.1
    schedule: Literal["linear", "constant"] = "linear"

    def at(self, step: int, steps: int) -> float:
        """Return the share after `step` of `steps` optimizer steps.

        >>> [Mixing(0.1).at(step, 4) for step in (0, 2, 4)]
        [0.0, 0.05, 0.1]
        """
        return self.end if self.schedule == "constant" else self.end * step / max(1, steps)


def check(training: Any, mixing: Mixing) -> None:
    """Raise TrainError for options that this loss does not support."""
    if not 0 <= mixing.end <= 1:
        raise TrainError(f"--wrpo_alpha {mixing.end:g}: must be a share of the chosen side, from 0 to 1")
    if len(training.loss_type) != 1 or training.loss_type[0] not in LOSSES:
        raise TrainError(f"train wrpo: loss_type {' '.join(training.loss_type)}: choose one of {', '.join(LOSSES)}")
    for name, plain in REFUSED.items():
        given = getattr(training, name)
        if getattr(given, "value", given) != plain:
            raise TrainError(f"train wrpo: --{name} {given}: WRPO does not support this; remove it, or use train dpo")


def wrpo_loss(own: Tensor, source: Tensor, rejected: Tensor, alpha: float, beta: float) -> Tensor:
    """Return the loss per prompt, [B].

    own, source, rejected: the log-ratios r(ywt), r(yws) and r(yl), [B] each, summed over the tokens of an answer (with
    sigmoid_norm: their mean, which is not in the paper). Equation 8 of arXiv 2412.03187.
    """
    from torch.nn.functional import logsigmoid

    return -logsigmoid(beta * (alpha * source + (1 - alpha) * own - rejected))


@dataclass(frozen=True)
class Triples:
    """A collator of three answers per prompt: B examples become 3B rows, those of ywt, then of yws, then of yl.

    An example has prompt_ids, chosen_ids, source_chosen_ids and rejected_ids (lists of token ids). A batch has input_ids,
    attention_mask and completion_mask, [3B, T] each, padded to the longest row; completion_mask is 1 on the answers' tokens.
    """

    pairs: Callable[[list[Batch]], Batch]
    """TRL's collator, which makes such a batch of [2B, T] from prompt_ids, chosen_ids and rejected_ids."""

    def __call__(self, examples: list[Batch]) -> Batch:
        n, prompts = len(examples), [{"prompt_ids": example["prompt_ids"]} for example in examples]
        chosen = [
            prompt | {"chosen_ids": example["chosen_ids"], "rejected_ids": example["source_chosen_ids"]}
            for prompt, example in zip(prompts, examples, strict=True)
        ]
        rejected = [
            prompt | {"chosen_ids": example["rejected_ids"], "rejected_ids": []}
            for prompt, example in zip(prompts, examples, strict=True)
        ]
        batch = self.pairs(chosen + rejected)  # rows of ywt, yl, yws and empty answers
        order = [*range(n), *range(2 * n, 3 * n), *range(n, 2 * n)]
        return {name: rows[order] for name, rows in batch.items()}


def add_sources(prepare: Callable[[Dataset], Dataset], rows: Dataset) -> tuple[Dataset, int]:
    """Return the rows as TRL's `prepare` tokenizes them, with source_chosen_ids, the tokens of `source_chosen`.

    The second value is the number of rows left out because their prompt has other tokens before the source's answer than before
    the target's own. Rows whose prompt TRL leaves out as too long are not counted.
    """
    from datasets import concatenate_datasets

    numbered = rows.add_column("row_number", list(range(len(rows))))
    own = prepare(numbered)
    of_source = prepare(numbered.remove_columns("chosen").rename_column("source_chosen", "chosen"))
    places = {row: at for at, row in enumerate(of_source["row_number"])}
    both = [(at, places[row]) for at, row in enumerate(own["row_number"]) if row in places]  # TRL leaves out long prompts
    names = {"prompt_ids": "source_prompt_ids", "chosen_ids": "source_chosen_ids"}
    own, of_source = own.select([at for at, _ in both]), of_source.select([at for _, at in both])
    joined = concatenate_datasets([own, of_source.select_columns(list(names)).rename_columns(names)], axis=1)
    prompts = zip(joined["prompt_ids"], joined["source_prompt_ids"], strict=True)
    alike = [at for at, (one, other) in enumerate(prompts) if one == other]
    return joined.select(alike).remove_columns(["row_number", "source_prompt_ids"]), len(both) - len(alike)


def measures(
    ratios: Sequence[Tensor], logps: Sequence[Tensor], margins: Tensor, alpha: float, beta: float
) -> dict[str, Tensor | float]:
    """Return what a step logs, under TRL's names: "chosen" is the target's own answer, "source" the source's.

    ratios, logps: of ywt, yws and yl, [B] each; margins [B]: the argument of the sigmoid without beta.
    """
    sides = ("chosen", "source", "rejected")
    return {
        **{f"rewards/{side}": beta * one for side, one in zip(sides, ratios, strict=True)},
        "rewards/margins": beta * margins,
        "rewards/accuracies": (margins > 0).float(),
        **{f"logps/{side}": one for side, one in zip(sides, logps, strict=True)},
        "wrpo_alpha": alpha,
    }


def prepare(trainer: Any, mixing: Mixing) -> None:
    """Give a new trainer its collator and its mixing. Raise TrainError for a model that this loss cannot train."""
    if trainer.aux_loss_enabled:
        raise TrainError(
            "train wrpo: the balancing loss of a mixture of experts is not supported; add --router_aux_loss_coef 0.0"
        )
    trainer.mixing = mixing
    trainer.data_collator = Triples(trainer.data_collator)


@cache
def trainer_class() -> Any:
    """Return a class: TRL's DPOTrainer with this loss. A trainer is ready after `prepare`."""
    import torch
    from trl import DPOTrainer  # type: ignore[attr-defined]

    parent: Any = DPOTrainer

    class WRPOTrainer(parent):  # type: ignore[misc]
        mixing = Mixing()
        n_disagreeing = 0

        def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: Any, dataset_name: str) -> Dataset:
            prepare = super()._prepare_dataset
            rows, n = add_sources(lambda some: prepare(some, processing_class, args, dataset_name), dataset)
            self.n_disagreeing += n
            return rows

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            if "source_chosen_ids" not in self._signature_columns:
                self._signature_columns.append("source_chosen_ids")

        def _compute_loss(self, model: Any, inputs: Batch, return_outputs: bool) -> Any:
            mode, mask = "train" if self.model.training else "eval", inputs["completion_mask"]
            given = {name: tensor for name, tensor in inputs.items() if name != "completion_mask"}
            labels = inputs["input_ids"].masked_fill(mask == 0, -100)
            outputs = model(**given, use_cache=False, labels=labels, fused_lm_head=True)
            logps = outputs.log_probs[:, -(mask.shape[1] - 1) :].sum(dim=1)
            ratios = logps - torch.cat(self.compute_ref_log_probs(self.ref_model or self.model, inputs))
            if self.loss_types == ["sigmoid_norm"]:
                ratios = ratios / mask.sum(dim=1).clamp(min=1.0)
            own, source, rejected = ratios.chunk(3)
            alpha = self.mixing.at(self.state.global_step, self.state.max_steps)
            loss = wrpo_loss(own, source, rejected, alpha, self.beta).mean()
            with torch.no_grad():
                margins = alpha * source + (1 - alpha) * own - rejected
                for name, value in measures(ratios.chunk(3), logps.chunk(3), margins, alpha, self.beta).items():
                    mean = value if isinstance(value, float) else self.accelerator.gather(value).mean().item()
                    self._metrics[mode][name].append(mean)
                if mode == "train":
                    self._total_train_tokens += self.accelerator.gather(inputs["attention_mask"].sum()).sum().item()
                self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
            return (loss, outputs) if return_outputs else loss

    return WRPOTrainer
