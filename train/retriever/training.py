"""One training of `train retriever`, top to bottom: transformers' Trainer with MK-TOD's losses, measuring, saving."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from train.errors import TrainError
from train.metrics import Log, recorder
from train.output import prepare_output, record_data, resume_from
from train.retriever.batches import Batches
from train.retriever.knowledge import KnowledgeBase, Turn, read_knowledge, read_turns
from train.retriever.learner import Learner
from train.retriever.measures import bleu, entity_f1, rank_of, recall_at
from train.retriever.modules import (
    FILE,
    SCRATCH,
    Described,
    Size,
    make_encoder,
    make_generator,
    make_tokenizer,
    module_class,
    save,
)
from train.retriever.options import RetrieverArguments

RECALLS = (1, 5, 7)
EVAL_TURNS = 32  # answered together


def train(own: RetrieverArguments, training: Any, say: Callable[[str], None]) -> list[Log]:
    """Train, save in `training.output_dir` and return the logs. Raise TrainError for data that cannot be used."""
    from transformers import set_seed

    kb = read_knowledge(Path(str(own.kb)), own.columns or [], own.spelt)
    turns = [turn for path in own.data or [] for turn in read_turns(Path(path), kb)]
    evals = read_turns(Path(own.eval_data), kb, "--eval_data") if own.eval_data else []
    labelled = sum(turn.label is not None for turn in turns)
    say(f"{len(turns)} turns, {labelled} of them with an entity of {len(kb.entities)}; to {training.output_dir}")
    if not labelled:
        raise TrainError("--data: no turn shares two values with an entity of --kb; check --columns and --spellings")
    out = Path(training.output_dir)
    record = {"kind": "retriever", "rows": len(turns), "files": _digests(own), "trained_on": list(own.data or [])}
    prepare_output(record, training, own.overwrite, out, {own.encoder, own.generator} - {SCRATCH})
    set_seed(training.seed)
    module, learner = make(own, kb, turns)
    trainer = trainer_class()(learner, turns, evals, module, training)
    if trainer.is_world_process_zero():
        record_data(record, out)
    trainer.add_callback(recorder(out))
    trainer.train(resume_from_checkpoint=resume_from(training.resume_from_checkpoint))
    if own.test_data:
        _measure_at_end(trainer, read_turns(Path(own.test_data), kb, "--test_data"), out)
    if trainer.is_world_process_zero():
        described = Described(list(kb.columns), dict(kb.spellings), own.max_retriever_length, own.top, own.confidence)
        save(trainer.accelerator.unwrap_model(trainer.model), learner.batches.tokenizers, described, out)
        say(f"Saved encoders and generator in {out}; datakit's domain dialogue takes it: verify: {{retriever: {out}}} ({FILE})")
    if hasattr(trainer, "end"):  # from transformers 5.18 on this closes trackers and the process group
        trainer.end()
    return list(trainer.state.log_history)


def _digests(own: RetrieverArguments) -> dict[str, str]:
    """Return digests of the dialogues and the knowledge base, by which a resumed training recognizes its data."""
    return {path: sha256(Path(path).read_bytes()).hexdigest()[:16] for path in (*(own.data or ()), str(own.kb))}


def make(own: RetrieverArguments, kb: KnowledgeBase, turns: Sequence[Turn]) -> tuple[Any, Learner]:
    """Return the module and its learner. The vocabulary of models from scratch is that of the training data and the knowledge
    base; both encoders start from the same weights."""
    texts = [turn.text for turn in turns] + [turn.response for turn in turns]
    texts += [kb.describe(at) for at in range(len(kb.entities))]
    texts.append("retrieved first second third fourth fifth later, low middle high confidence, mentioned before new:")
    size, words = Size(own.hidden_size, own.num_layers), make_tokenizer(texts)
    context_encoder, of_context = make_encoder(own.encoder, words, size, own.max_retriever_length)
    entity_encoder, of_entity = deepcopy(context_encoder), of_context
    generator, of_generator = make_generator(own.generator, words, size)
    tokenizers = {"context_encoder": of_context, "entity_encoder": of_entity, "generator": of_generator}
    return module_class()(context_encoder, entity_encoder, generator), Learner(kb, own, Batches(kb, own, tokenizers))


def measure(learner: Learner, module: Any, turns: Sequence[Turn]) -> tuple[dict[str, float], list[str]]:
    """Return the measures and the answers: Recall@K over turns whose answer is the first to name an entity, Entity F1 and BLEU
    over all turns."""
    import torch

    ranks: list[int] = []
    answers: list[str] = []
    training = module.training
    module.eval()
    with torch.no_grad():
        for begin in range(0, len(turns), EVAL_TURNS):
            some = turns[begin : begin + EVAL_TURNS]
            scores = learner.scores(module, some).tolist()
            ranks += [rank_of(turn.named, row) for turn, row in zip(some, scores, strict=True) if turn.named is not None]
            answers += learner.answer(module, some)
    module.train(training)
    kb = learner.kb
    found = {f"recall@{k}": recall_at(k, ranks) for k in RECALLS}
    found["entity_f1"] = entity_f1((turn.gold, kb.find(answer)) for turn, answer in zip(turns, answers, strict=True))
    found["bleu"] = bleu(answers, [turn.response for turn in turns])
    return found, answers


def _measure_at_end(trainer: Any, turns: list[Turn], out: Path) -> None:
    """Measure the test data; write test.json and answers.jsonl."""
    found, answers = measure(trainer.learner, trainer.accelerator.unwrap_model(trainer.model), turns)
    if trainer.is_world_process_zero():
        (out / "test.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        rows = [{"text": answer, "reference": turn.response} for turn, answer in zip(turns, answers, strict=True)]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / "answers.jsonl").write_text(lines, encoding="utf-8")
    trainer.log({f"test_{name}": value for name, value in found.items()})


def _with_others(rows: list[int], n: int, wanted: int, seed: str) -> list[int]:
    """Return the rows of a batch and other rows of all `n`, `wanted` in all; the same ones for the same seed."""
    others = sorted({*range(n)} - {*rows})
    return rows + random.Random(seed).sample(others, min(len(others), max(0, wanted - len(rows))))


@cache
def trainer_class() -> Any:
    """Return a class: transformers' Trainer over indices of turns, with its launching, checkpoints and resuming."""
    import torch
    from transformers import Trainer

    parent: Any = Trainer

    class RetrieverTrainer(parent):  # type: ignore[misc]
        def __init__(self, learner: Learner, turns: list[Turn], evals: list[Turn], module: Any, args: Any) -> None:
            rows = list(range(len(turns)))
            super().__init__(
                model=module, args=args, train_dataset=rows, eval_dataset=evals or None,
                data_collator=lambda some: {"rows": torch.tensor(some)},
            )  # fmt: skip
            self.learner, self.turns, self.evals, self.terms = learner, turns, evals, dict[str, list[float]]()

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            rows, step, own = inputs["rows"].tolist(), self.state.global_step, self.learner.own
            if step < own.retriever_steps:
                rows = _with_others(rows, len(self.turns), own.retriever_batch, f"{self.args.seed} {step} {rows}")
            terms = model(partial(self.learner.terms, turns=[self.turns[at] for at in rows], step=step))
            for name, term in terms.items():
                self.terms.setdefault(name, []).append(float(term.detach()))
            return sum(self.learner.weight(name) * term for name, term in terms.items())

        def log(self, logs: Any, *args: Any, **kwargs: Any) -> None:
            if "loss" in logs:
                logs |= {name: sum(values) / len(values) for name, values in self.terms.items()}
                self.terms.clear()
            super().log(logs, *args, **kwargs)

        def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
            found, _ = measure(self.learner, self.accelerator.unwrap_model(self.model), self.evals)
            metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
            self.log(metrics)
            self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            given = state_dict if state_dict is not None else self.model.state_dict()
            tied = self.accelerator.unwrap_model(self.model)._keys_to_ignore_on_save
            super()._save(output_dir, {name: tensor for name, tensor in given.items() if name not in tied})

    return RetrieverTrainer
