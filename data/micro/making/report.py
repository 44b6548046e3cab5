"""Measure the saved weights on problems that no model has seen: the tables of README.md."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean, quantiles

import torch
from families import FAMILIES
from learn import settle
from measure import Sample, sample
from reward import COURSES, Course, RewardModel, features
from safetensors.torch import load_file
from subjects import SUBJECTS
from transformers import AutoConfig, AutoTokenizer, LlamaModel


def measure(root: Path, name: str) -> dict[str, object]:
    """Return all numbers of README.md's tables about one subject; with `reward` if it has a reward model."""
    subject = SUBJECTS[name]
    seed = subject.report_seed
    settle(seed)
    problems = subject.unseen()
    names = [family.name for family in FAMILIES.values() if family.subject is subject]
    drawn = {name: sample(root / name, problems, subject.copies, 0.8, seed, subject.max_tokens) for name in names}
    greedy = {name: sample(root / name, problems, 1, 0.0, seed, subject.max_tokens) for name in names}
    models = {name: language_row(drawn[name], greedy[name], list(subject.kinds)) for name in names}
    course = COURSES.get(name)
    return {"models": models} | (
        {"reward": reward_row(root, course, [one for name in course.sources for one in drawn[name]])} if course else {}
    )


def language_row(drawn: list[Sample], greedy: list[Sample], kinds: list[str]) -> dict[str, float]:
    """Return the shares and means of one language model."""
    by_kind = {kind: rate(one.right for one in drawn if one.problem.kind == kind) for kind in kinds}
    texts: dict[str, set[str]] = defaultdict(set)
    for one in drawn:
        texts[one.problem.question].add(one.text)
    return {
        "pass": rate(one.right for one in drawn), "greedy": rate(one.right for one in greedy),
        "tokens": fmean(one.n_tokens for one in drawn), "characters": fmean(len(one.text) for one in drawn),
        "truncated": rate(not one.stopped for one in drawn), "distinct": sum(map(len, texts.values())) / len(drawn),
        "pairable": pairable(drawn), **by_kind,
    }  # fmt: skip


def pairable(drawn: list[Sample]) -> float:
    """Return the share of the problems that have a right and a wrong answer among the samples."""
    groups: dict[str, set[bool]] = defaultdict(set)
    for one in drawn:
        groups[one.problem.question].add(one.right)
    return rate(len(kinds) == 2 for kinds in groups.values())


def rate(values: Iterable[bool]) -> float:
    return fmean(map(float, values))


def load_reward(folder: Path) -> RewardModel:
    """Load the saved reward model; its bfloat16 weights are used in float32."""
    model = RewardModel(LlamaModel(AutoConfig.from_pretrained(folder)))
    weights = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    model.load_state_dict(weights)
    return model.eval()


@torch.inference_mode()
def score(folder: Path, course: Course, samples: list[Sample]) -> list[float]:
    model, tokenizer = load_reward(folder), AutoTokenizer.from_pretrained(folder)
    return model.score(*features(model, course.encode(tokenizer, [(one.problem, one.text) for one in samples]))).tolist()


def reward_row(root: Path, course: Course, samples: list[Sample]) -> dict[str, object]:
    """Return the ranking accuracy over all right/wrong pairs of one prompt and source, correlation with length, quantiles."""
    scores = score(root / course.name, course, samples)
    groups: dict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)
    for one, value in zip(samples, scores, strict=True):
        groups[one.model, one.problem.question].append((value, one.right))
    wins, margins = [], []
    for group in groups.values():
        right, wrong = ([value for value, good in group if good is wanted] for wanted in (True, False))
        wins += [good > bad for good in right for bad in wrong]
        margins += [max(right) - min(wrong)] if right and wrong else []
    lengths = torch.tensor([float(len(one.text)) for one in samples])
    correlation = torch.corrcoef(torch.stack([torch.tensor(scores), lengths]))[0, 1].item()
    return {
        "ranking_accuracy": rate(wins), "right_wrong_pairs": len(wins), "length_correlation": correlation,
        "scores": spread(scores), "margins": spread(margins), "prompt_source_pairs": len(margins),
        "margin_in_window": rate(0.01 <= margin <= 0.1 for margin in margins),
    }  # fmt: skip


def spread(values: list[float]) -> dict[str, float]:
    cuts = quantiles(values, n=20)
    named = {"5%": cuts[0], "25%": cuts[4], "50%": cuts[9], "75%": cuts[14], "95%": cuts[18]}
    return {"min": min(values), **named, "max": max(values)}


def show(result: dict, write: Callable[[str], None] = print) -> None:
    """Write the tables in Markdown."""
    models = result["models"]
    write(f"| | {' | '.join(models)} |")
    write(f"| --- |{' ---: |' * len(models)}")
    for field in next(iter(models.values())):
        digits = 1 if field in ("tokens", "characters") else 3
        write(f"| {field} | {' | '.join(f'{row[field]:.{digits}f}' for row in models.values())} |")
    if "reward" not in result:
        return
    write("\n| reward model | |\n| --- | --- |")
    for field, value in result["reward"].items():
        text = ", ".join(f"{name} {part:.3f}" for name, part in value.items()) if isinstance(value, dict) else f"{value:.3f}"
        write(f"| {field} | {text} |")


def write_report(root: Path, names: Sequence[str]) -> None:
    """Measure the named subjects; the entries of others in report.json are kept."""
    file = root / "report.json"
    result = json.loads(file.read_text()) if file.exists() else {}
    for name in names:
        result[name] = measure(root, name)
        print(f"\n{name}\n")
        show(result[name])
    file.write_text(json.dumps(result, indent=2) + "\n")
