"""Train the micro reward model in ArmoRM's published layout: a backbone with 19 linear objectives, then a gate.

Stage 1 teaches backbone and regression layer the attributes of `objectives.py` on worked answers and corrupted copies of
them; stage 2 freezes both and fits the gate to preference pairs of sampled answers with the Bradley-Terry loss. The
transform matrix between them subtracts verbosity, as ArmoRM's does.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import torch
from families import FAMILIES, REWARD_TEMPLATE, SOURCES
from learn import REWARD_SEED, conversation, held_out, learning_rate, settle
from measure import Sample, sample
from objectives import CORRECTNESS, OBJECTIVES, VERBOSITY, attributes, corrupt
from problems import Problem, mixture_of_all, stream, write_answer
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

STEPS, BATCH, GATE_STEPS, GATE_WIDTH = 800, 32, 600, 32
PROMPTS, COPIES = 120, 3
LONGER_SHARE = 0.3  # share of the gate's pairs in which the longer of two right answers is preferred, as people's labels do
LENGTH_LIMIT = 0.3  # Spearman correlation with verbosity that an objective may keep
TEMPERATURE, SHARPNESS, MEDIAN_SCORE = 10.0, 15.0, 0.13
PENALTIES = (0.0, 0.01, 0.025, *(n / 20 for n in range(1, 20)))


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
        """(hidden state at the last token, hidden state where the assistant's header begins), each [batch, width]."""
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


@dataclass(frozen=True)
class Row:
    """An answer with the token ids of its conversation, the position of the user's end of turn, and its 19 labels."""

    ids: list[int]
    turn: int
    labels: list[float]
    right: bool
    n_characters: int


def encode(tokenizer: PreTrainedTokenizerFast, answers: list[tuple[Problem, str]]) -> list[Row]:
    chats = [conversation(problem, text) for problem, text in answers]
    whole = tokenizer([tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats], add_special_tokens=False)
    heads = tokenizer([tokenizer.apply_chat_template(chat[:1], tokenize=False) for chat in chats], add_special_tokens=False)
    rows = []
    for (problem, text), ids, head in zip(answers, whole["input_ids"], heads["input_ids"], strict=True):
        labels = attributes(problem, text)
        rows.append(Row(ids, len(head) - 1, labels, labels[1] == 1.0, len(text)))
    return rows


def pad(rows: list[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """(ids padded on the right, last positions, turn positions)."""
    width = max(len(row.ids) for row in rows)
    pad_id = 0
    ids = torch.tensor([row.ids + [pad_id] * (width - len(row.ids)) for row in rows])
    return ids, torch.tensor([len(row.ids) - 1 for row in rows]), torch.tensor([row.turn for row in rows])


def invented(rng: random.Random, problems: list[Problem]) -> list[tuple[Problem, str]]:
    """A right and a corrupted answer of each problem, in the style and length of any source."""
    answers = []
    for problem in problems:
        family = FAMILIES[rng.choice(SOURCES)]
        length = rng.choice(list(family.lengths))
        answers.append((problem, write_answer(problem, family.style, length)))
        answers.append((problem, write_answer(corrupt(problem, rng), family.style, length)))
    return answers


def learn_objectives(model: RewardModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Stage 1: mean squared error on the 19 labels of right and corrupted answers."""
    rng = random.Random(REWARD_SEED)
    problems = stream(REWARD_SEED + 1, mixture_of_all(), held_out())
    parts = [model.model.parameters(), model.regression_layer.parameters()]
    optimizer = torch.optim.AdamW([weight for part in parts for weight in part], weight_decay=0.02)
    running = 0.1
    for step in range(STEPS):
        rows = encode(tokenizer, invented(rng, list(islice(problems, BATCH // 2))))
        for group in optimizer.param_groups:
            group["lr"] = 0.5 * learning_rate(step, STEPS)
        ids, ends, _ = pad(rows)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        rewards = model.regression_layer(hidden.float())
        errors = (rewards[torch.arange(len(rows)), ends] - torch.tensor([row.labels for row in rows])) ** 2
        loss = errors.mean() + along_the_answer(rewards[:, :, CORRECTNESS], rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        running = 0.97 * running + 0.03 * errors[:, 1].mean().item()
        if (step + 1) % 100 == 0:
            print(f"reward {step + 1} loss {loss.item():.4f} correctness {running:.4f}", flush=True)


def along_the_answer(correctness: Tensor, rows: list[Row]) -> Tensor:
    """Mean squared error of correctness at every token of the answers: 1 up to the first wrong token, 0 from there on.

    `rows` are a right and a corrupted answer of each problem in turn, so the first token that differs is the wrong one.
    """
    labels, counted = torch.ones_like(correctness), torch.zeros_like(correctness)
    for number, row in enumerate(rows):
        counted[number, row.turn : len(row.ids)] = 1.0
        right = rows[number - number % 2].ids
        if row.ids != right:
            labels[number, first_difference(right, row.ids) :] = 0.0
    return ((correctness - labels) ** 2 * counted).sum() / counted.sum()


def first_difference(left: list[int], right: list[int]) -> int:
    return next(place for place, (one, other) in enumerate(zip(left, right, strict=False)) if one != other)


@torch.inference_mode()
def features(model: RewardModel, rows: list[Row]) -> tuple[Tensor, Tensor]:
    parts = [model.features(*pad(rows[start : start + 200])) for start in range(0, len(rows), 200)]
    return torch.cat([last for last, _ in parts]).clone(), torch.cat([turn for _, turn in parts]).clone()


def transform(rewards: Tensor) -> Tensor:
    """Identity minus a penalty on verbosity for each objective: the smallest that leaves no more than `LENGTH_LIMIT`."""
    matrix, verbosity = torch.eye(len(OBJECTIVES)), rewards[:, VERBOSITY]
    for objective in range(len(OBJECTIVES)):
        kept = [p for p in PENALTIES if spearman(rewards[:, objective] - p * verbosity, verbosity) <= LENGTH_LIMIT]
        matrix[VERBOSITY, objective] -= 1.0 if objective == VERBOSITY else (kept or [PENALTIES[-1]])[0]
    return matrix


def spearman(left: Tensor, right: Tensor) -> float:
    ranks = torch.stack([part.argsort().argsort().float() for part in (left, right)])
    return torch.corrcoef(ranks)[0, 1].item()


def preference_pairs(samples: list[Sample], rng: random.Random) -> list[tuple[int, int]]:
    """Positions (chosen, rejected): right over wrong of one prompt and source, and longer over shorter among the right."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, one in enumerate(samples):
        groups[one.model, one.problem.question].append(index)
    right_wrong, longer = [], []
    for group in groups.values():
        right = sorted((n for n in group if samples[n].right), key=lambda n: len(samples[n].text))
        wrong = [n for n in group if not samples[n].right]
        right_wrong += [(good, bad) for good in right for bad in wrong]
        if right and len(samples[right[-1]].text) > len(samples[right[0]].text):
            longer.append((right[-1], right[0]))
    count = int(len(right_wrong) * LONGER_SHARE / (1 - LONGER_SHARE))
    return right_wrong + rng.sample(longer, min(count, len(longer)))


def learn_gate(model: RewardModel, rows: list[Row], pairs: list[tuple[int, int]]) -> None:
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


def make_samples(root: Path) -> list[Sample]:
    """Answers of the four sources to problems of the reward model's own."""
    problems = list(islice(stream(REWARD_SEED, mixture_of_all(), held_out()), PROMPTS))
    return [one for n, name in enumerate(SOURCES) for one in sample(root / name, problems, COPIES, 0.8, REWARD_SEED + n)]


def train(root: Path) -> None:
    """Write `root/reward`: the tokenizer and the backbone's start come from the llama source."""
    settle(REWARD_SEED)
    tokenizer = AutoTokenizer.from_pretrained(root / "llama")
    tokenizer.chat_template = REWARD_TEMPLATE
    backbone = AutoModelForCausalLM.from_pretrained(root / "llama", dtype=torch.float32, attn_implementation="eager").model
    model = RewardModel(backbone)
    learn_objectives(model, tokenizer)
    choose_weights(model, tokenizer, make_samples(root))
    save(model, root)


def choose_weights(model: RewardModel, tokenizer: PreTrainedTokenizerFast, samples: list[Sample]) -> None:
    """Stage 2 on answers that the sources sampled."""
    settle(REWARD_SEED)
    rows = encode(tokenizer, [(one.problem, one.text) for one in samples])
    learn_gate(model, rows, preference_pairs(samples, random.Random(REWARD_SEED)))


def save(model: RewardModel, root: Path) -> None:
    folder = root / "reward"
    folder.mkdir(exist_ok=True)
    tensors = {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_bytes((root / "llama" / "tokenizer.json").read_bytes())
    settings = json.loads((root / "llama" / "tokenizer_config.json").read_text()) | {"model_max_length": 1024}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(REWARD_TEMPLATE)
    (folder / "config.json").write_text(json.dumps(settings_of(model.model.config), indent=2) + "\n")


def settings_of(config: object) -> dict[str, object]:
    """config.json with the fields of the published one."""
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
