"""Train the micro reward model in ArmoRM's published layout: a backbone with 19 linear objectives, then a gate.

Stage 1 teaches the backbone arithmetic and then, with the regression layer, the attributes of `objectives.py` (`lessons.py`
has the text); stage 2 freezes both and fits the gate to preference pairs of sampled answers with the Bradley-Terry loss. The
transform matrix between them subtracts verbosity from the other objectives, as ArmoRM's does; verbosity itself it keeps.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

import code_lessons
import torch
from families import CODE_SOURCES, REWARD_TEMPLATE, SOURCES
from learn import PEAK_RATE, learning_rate, settle
from lessons import UNSAID, Lesson, answers, collate, drill, lessons
from measure import Sample, sample
from objectives import CORRECTNESS, OBJECTIVES, VERBOSITY
from safetensors.torch import save_file
from subjects import CODE, MATH, Asked, Subject
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

DRILL_STEPS, ANSWER_STEPS, CODE_STEPS, GATE_STEPS = 600, 1200, 700, 600
BATCH, RATE, GATE_WIDTH, THREADS = 32, 0.8, 32, 2
CHECK_WEIGHT, LABEL_WEIGHT = 2.0, 2.0
COPIES = 3  # answers of a source to each of the reward model's own prompts
LENGTH_LIMIT = 0.5  # Spearman correlation with verbosity that an objective other than verbosity may keep
TEMPERATURE, SHARPNESS, MEDIAN_SCORE = 10.0, 15.0, 0.13
PENALTIES = (0.0, 0.01, 0.025, *(n / 20 for n in range(1, 20)))


Encode = Callable[[PreTrainedTokenizerFast, list[tuple[Asked, str]]], list[Lesson]]


@dataclass(frozen=True)
class Course:
    """One reward model: its folder, the source that it starts from, whose answers it learns from, and the batches of stage 1.

    `longer_share` of the gate's pairs prefer the longer of two right answers, as people's labels do.
    """

    name: str
    base: str
    sources: tuple[str, ...]
    subject: Subject
    steps: int
    batches: Callable[[PreTrainedTokenizerFast, list[Sample]], Iterator[list[Lesson]]]
    encode: Encode
    prompts: int
    longer_share: float
    threads: int


class RewardModel(nn.Module):
    """LlamaModel, `regression_layer` and `gating` under the names of the published checkpoint."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        width, count = backbone.config.hidden_size, len(OBJECTIVES)
        self.model = backbone
        self.regression_layer = nn.Linear(width, count, bias=False)
        self.reward_transform_matrix = nn.Parameter(torch.eye(count), requires_grad=False)
        self.gating = Gate(width, count)

    def features(self, ids: Tensor, ends: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden states at the last token and at the start of the assistant's header, each [batch, width]."""
        hidden = self.model(input_ids=ids, use_cache=False).last_hidden_state
        rows = torch.arange(len(ids))
        return hidden[rows, ends], hidden[rows, turns]

    def score(self, last: Tensor, turn: Tensor) -> Tensor:
        rewards = self.regression_layer(last) @ self.reward_transform_matrix
        return (self.gating(turn) * rewards).sum(-1)


class Gate(nn.Module):
    """Three hidden layers, then a softmax at temperature 10, times one scale."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        sizes = [width, GATE_WIDTH, GATE_WIDTH, GATE_WIDTH, count]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.logit_scale = nn.Parameter(torch.ones(1))

    def forward(self, turn: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            turn = torch.relu(layer(turn))
        return torch.softmax(self.layers[-1](turn) / TEMPERATURE, dim=-1) * self.logit_scale[0]


def math_batches(tokenizer: PreTrainedTokenizerFast, samples: list[Sample]) -> Iterator[list[Lesson]]:
    """Yield batches of equations, then of whole answers."""
    drills = islice(drill(tokenizer, MATH.reward_seed + 10, BATCH), DRILL_STEPS)
    talks = islice(answers(samples, MATH.reward_seed + 20, BATCH), ANSWER_STEPS)
    return chain(drills, (lessons(tokenizer, batch) for batch in talks))


def code_batches(tokenizer: PreTrainedTokenizerFast, samples: list[Sample]) -> Iterator[list[Lesson]]:
    talks = islice(code_lessons.drafts(samples, CODE.reward_seed + 20, BATCH), CODE_STEPS)
    return (code_lessons.lessons(tokenizer, batch) for batch in talks)


COURSES = {
    "math": Course("reward", "llama", SOURCES, MATH, DRILL_STEPS + ANSWER_STEPS, math_batches, lessons, 400, 0.55, THREADS),
    "code": Course("code-reward", "code-llama", CODE_SOURCES, CODE, CODE_STEPS, code_batches, code_lessons.encode, 240, 0.3, 1),
}


def deepened(folder: Path) -> nn.Module:
    """Return a llama source's backbone with one more layer, which changes nothing until it is trained."""
    source = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).model
    settings = source.config.to_dict() | {"num_hidden_layers": source.config.num_hidden_layers + 1, "layer_types": None}
    backbone = LlamaModel._from_config(LlamaConfig(**settings), attn_implementation="eager", dtype=torch.float32)
    backbone.load_state_dict(source.state_dict(), strict=False)
    for weight in (backbone.layers[-1].self_attn.o_proj.weight, backbone.layers[-1].mlp.down_proj.weight):
        nn.init.zeros_(weight)
    return backbone


class Checks(nn.Module):
    """Heads for training only: whether the equation holds, whether all is right so far, and the next token."""

    def __init__(self, model: RewardModel) -> None:
        super().__init__()
        self.heads = nn.Linear(model.model.config.hidden_size, 2)

    def forward(self, model: RewardModel, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch, and what to print about it."""
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.model(input_ids=batch["ids"], use_cache=False).last_hidden_state
        asked = batch["following"] != UNSAID
        words = (hidden[asked] @ model.model.embed_tokens.weight.T).float()
        loss, shown = cross_entropy(words, batch["following"][asked]), {}
        for number, name in enumerate(("holds", "sound")):
            asked = batch[name] != UNSAID
            if asked.any():
                logits, said = self.heads(hidden[asked].float())[:, number], batch[name][asked].float()
                loss = loss + CHECK_WEIGHT * binary_cross_entropy_with_logits(logits, said)
                shown[name] = ((logits > 0) == said.bool()).float().mean().item()
        if batch["labels"].numel():
            last = hidden[torch.arange(len(hidden)), batch["ends"]].float()
            errors = (model.regression_layer(last) - batch["labels"]) ** 2
            loss = loss + LABEL_WEIGHT * errors.mean() + errors[:, CORRECTNESS].mean()
            shown["correctness"] = errors[:, CORRECTNESS].mean().item()
        return loss, shown


def learn_backbone(model: RewardModel, batches: Iterator[list[Lesson]], steps: int) -> None:
    """Stage 1: backbone and regression layer, with one learning-rate curve over all batches."""
    checks = Checks(model)
    weights = [*model.model.parameters(), *model.regression_layer.parameters(), *checks.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=PEAK_RATE, betas=(0.9, 0.97), weight_decay=0.05)
    running: dict[str, float] = {}
    for step, rows in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = RATE * learning_rate(step, steps)
        loss, shown = checks(model, collate(rows))
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        running = {name: 0.97 * running.get(name, now) + 0.03 * now for name, now in shown.items()}
        if (step + 1) % 50 == 0:
            print(f"reward {step + 1}", *(f"{name} {value:.4f}" for name, value in running.items()), flush=True)


@torch.inference_mode()
def features(model: RewardModel, rows: list[Lesson]) -> tuple[Tensor, Tensor]:
    batches = [collate(rows[start : start + 200]) for start in range(0, len(rows), 200)]
    parts = [model.features(batch["ids"], batch["ends"], batch["turns"]) for batch in batches]
    return torch.cat([last for last, _ in parts]).clone(), torch.cat([turn for _, turn in parts]).clone()


def transform(rewards: Tensor) -> Tensor:
    """Return the identity minus a penalty on verbosity per other objective: the smallest that leaves at most `LENGTH_LIMIT`."""
    matrix, verbosity = torch.eye(len(OBJECTIVES)), rewards[:, VERBOSITY]
    for objective in set(range(len(OBJECTIVES))) - {VERBOSITY}:
        kept = [p for p in PENALTIES if spearman(rewards[:, objective] - p * verbosity, verbosity) <= LENGTH_LIMIT]
        matrix[VERBOSITY, objective] -= (kept or [PENALTIES[-1]])[0]
    return matrix


def spearman(left: Tensor, right: Tensor) -> float:
    ranks = torch.stack([part.argsort().argsort().float() for part in (left, right)])
    return torch.corrcoef(ranks)[0, 1].item()


def preference_pairs(samples: list[Sample], rng: random.Random, longer_share: float) -> list[tuple[int, int]]:
    """Return index pairs (chosen, rejected): right over wrong of one prompt and source, and longer over shorter among the
    right."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, one in enumerate(samples):
        groups[one.model, one.problem.question].append(index)
    right_wrong, longer = [], []
    for group in groups.values():
        right, wrong = ([n for n in group if samples[n].right is wanted] for wanted in (True, False))
        right_wrong += [(good, bad) for good in right for bad in wrong]
        longer += [(one, two) for one in right for two in right if len(samples[one].text) > len(samples[two].text)]
    return right_wrong + rng.choices(longer, k=int(len(right_wrong) * longer_share / (1 - longer_share)))


def learn_gate(model: RewardModel, rows: list[Lesson], pairs: list[tuple[int, int]]) -> None:
    """Stage 2: Bradley-Terry on the score of frozen features; then one scale puts the median score where ArmoRM's lies."""
    last, turn = features(model, rows)
    model.reward_transform_matrix.copy_(transform(last @ model.regression_layer.weight.detach().T))
    chosen, rejected = (torch.tensor(side) for side in zip(*pairs, strict=True))
    optimizer = torch.optim.AdamW(model.gating.layers.parameters(), lr=2e-3, weight_decay=0.01)
    for step in range(GATE_STEPS):
        picked = torch.randint(len(pairs), (256,))
        good, bad = chosen[picked], rejected[picked]
        margin = model.score(last[good], turn[good]) - model.score(last[bad], turn[bad])
        loss = -logsigmoid(SHARPNESS * margin).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 200 == 0:
            print(f"gate {step + 1} loss {loss.item():.4f}", flush=True)
    with torch.no_grad():
        model.gating.logit_scale *= MEDIAN_SCORE / model.score(last, turn).median()


def make_samples(root: Path, course: Course) -> list[Sample]:
    """Sample answers of the four sources to the reward model's own problems."""
    subject, seed = course.subject, course.subject.reward_seed
    problems = list(islice(subject.stream(seed, subject.mixture(), subject.held_out), course.prompts))
    return [one for n, name in enumerate(course.sources)
            for one in sample(root / name, problems, COPIES, 0.8, seed + n, subject.max_tokens)]  # fmt: skip


def train(root: Path, course: Course) -> None:
    """Train and write the course's folder; the tokenizer and the initial backbone come from its base."""
    settle(course.subject.reward_seed)
    samples = make_samples(root, course)
    settle(course.subject.reward_seed)
    torch.set_num_threads(course.threads)
    tokenizer = AutoTokenizer.from_pretrained(root / course.base)
    tokenizer.chat_template = REWARD_TEMPLATE
    model = RewardModel(deepened(root / course.base))
    learn_backbone(model, course.batches(tokenizer, samples), course.steps)
    choose_weights(model, tokenizer, samples, course)
    save(model, root / course.name, root / course.base)


def choose_weights(model: RewardModel, tokenizer: PreTrainedTokenizerFast, samples: list[Sample], course: Course) -> None:
    """Run stage 2 on sampled answers of the sources, with backbone and objectives rounded as in the file."""
    seed = course.subject.reward_seed
    settle(seed)
    model.gating = Gate(model.model.config.hidden_size, len(OBJECTIVES))
    for weight in model.parameters():
        weight.data = weight.data.to(torch.bfloat16).float()
    rows = course.encode(tokenizer, [(one.problem, one.text) for one in samples])
    learn_gate(model, rows, preference_pairs(samples, random.Random(seed), course.longer_share))


def save(model: RewardModel, folder: Path, base: Path) -> None:
    folder.mkdir(exist_ok=True)
    tensors = {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    settings = json.loads((base / "tokenizer_config.json").read_text()) | {"model_max_length": 1024}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(REWARD_TEMPLATE)
    (folder / "config.json").write_text(json.dumps(settings_of(model.model.config), indent=2) + "\n")


def settings_of(config: object) -> dict[str, object]:
    """Return config.json with the fields of the published one."""
    copied = ("attention_bias", "attention_dropout", "bos_token_id", "eos_token_id", "pad_token_id", "head_dim", "hidden_act",
              "hidden_size", "initializer_range", "intermediate_size", "mlp_bias", "num_attention_heads", "num_hidden_layers",
              "num_key_value_heads", "rms_norm_eps", "use_cache", "vocab_size")  # fmt: skip
    labels = {f"LABEL_{n}": n for n in range(len(OBJECTIVES))}
    return {
        "architectures": ["LlamaForRewardModelWithGating"], "model_type": "llama", "torch_dtype": "bfloat16",
        "max_position_embeddings": 1024, "rope_theta": config.rope_parameters["rope_theta"], "rope_scaling": None,
        "tie_word_embeddings": False, "num_objectives": len(OBJECTIVES), "gating_temperature": int(TEMPERATURE),
        "gating_hidden_dim": GATE_WIDTH, "gating_n_hidden": 3, "label2id": labels,
        "id2label": {str(n): label for label, n in labels.items()},
    } | {name: getattr(config, name) for name in copied}  # fmt: skip
