"""`datakit eval` on real vLLM gives the answers that `transformers` computes: float32, greedy, one request at a time.

Where two tokens are as good as equal, either may come: such ties (logits within 1e-4) are counted and printed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.command import DATAKIT, rows_of
from tests.helpers.folders import ROOT

PYTHON = os.environ.get("DATAKIT_VLLM_PYTHON")
MODELS = ("llama", "qwen2")
PROMPTS = 40
MAX_TOKENS = 96
TIE = 1e-4

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(not PYTHON, reason="DATAKIT_VLLM_PYTHON names no interpreter that has vLLM: make test-vllm"),
]


def source_file(folder: Path, name: str) -> Path:
    """A source's section: vLLM in float32, and nothing beside a request that could change how it is computed."""
    section = {
        "type": "serve",
        "engine": "vllm",
        "python": PYTHON,
        "model": str(ROOT / "data" / "micro" / name),
        "dtype": "float32",
        "args": ["--max-model-len", "512", "--no-enable-chunked-prefill", "--no-enable-prefix-caching", "--enforce-eager"],
        "env": {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
        "max_in_flight": 1,
        "together": False,
        "start_timeout_s": 600.0,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(section))
    return path


def greedy(name: str, questions: list[str]) -> list[tuple[list[str], list[float]]]:
    """Of each question the text after every token, and by how much each token's logit is above the second best."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = ROOT / "data" / "micro" / name
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for question in questions:
        asked = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            done = model.generate(
                **ids, do_sample=False, max_new_tokens=MAX_TOKENS, return_dict_in_generate=True, output_logits=True
            )
        new = done.sequences[0, ids["input_ids"].shape[1] :].tolist()
        texts = [tokenizer.decode(new[: at + 1], skip_special_tokens=True) for at in range(len(new))]
        gaps = [float(top[0] - top[1]) for logits in done.logits for top in [logits[0].topk(2).values]]
        found.append((texts, gaps))
    return found


def test_vllm_gives_the_answers_of_transformers(tmp_path):
    values = yaml.safe_load((ROOT / "recipes" / "eval" / "micro.yaml").read_text())
    values["prompts"]["path"] = str(ROOT / "data" / "math" / "unseen.jsonl")
    values |= {"n": 1, "sampling": {"temperature": 0.0, "max_tokens": MAX_TOKENS}}
    (tmp_path / "micro.yaml").write_text(yaml.safe_dump(values))
    models = [word for name in MODELS for word in ("--model", f"{name}={source_file(tmp_path, name)}")]
    asked = ["eval", "--suite", tmp_path / "micro.yaml", *models, "--out", tmp_path / "out", "--limit", PROMPTS]
    done = subprocess.run([*DATAKIT, *map(str, asked)], capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr
    rows = rows_of(
        tmp_path / "out" / "micro",
        "SELECT model, messages[-1].content AS question, text FROM responses JOIN prompts USING (prompt_id) ORDER BY ALL",
    )
    ties = 0
    for name in MODELS:
        given = {row["question"]: row["text"] for row in rows if Path(row["model"]).name == name}
        assert len(given) == PROMPTS
        for (question, text), (texts, gaps) in zip(given.items(), greedy(name, list(given)), strict=True):
            if text.strip() == texts[-1].strip():
                continue
            same = next((at for at, one in enumerate(texts) if not text.startswith(one)), len(texts) - 1)
            print(f"{name}: {question!r}: token {same}, gap {gaps[same]:.2e}: {texts[-1]!r} and {text!r}")
            assert gaps[same] <= TIE, (name, question, text, texts[-1])
            ties += 1
    print(f"{ties} ties in {PROMPTS * len(MODELS)} answers")
