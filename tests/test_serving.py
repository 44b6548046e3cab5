"""Real servers: `transformers serve` over a tiny model made on the spot. Started, sampled from, and gone whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from command import DATAKIT, count, datakit, rows_of, write_problems, write_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A random Llama with a chat template, that samples (do_sample in its generation_config.json)."""
    pytest.importorskip("torch")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    vocab = {token: at for at, token in enumerate(["<s>", "</s>", *pre_tokenizers.ByteLevel.alphabet()])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    fast.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocab), hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=256, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    GenerationConfig(do_sample=True, bos_token_id=0, eos_token_id=1, pad_token_id=1).save_pretrained(folder)
    return folder


def recipe_of(model: Path, problems: Path, **changes) -> dict:
    source = {
        "type": "serve",
        "engine": "transformers",
        "model": str(model),
        "n": 3,
        "sampling": {"temperature": 1.0, "max_tokens": 12},
        "args": ["--device", "cpu", "--continuous-batching", "--cb-num-blocks", "64", "--cb-max-batch-tokens", "128"],
        **changes,
    }
    columns = {"prompt_id": "id", "prompt": "question", "reference": "gold"}
    return {"domain": "math", "prompts": [{"type": "file", "path": str(problems), "columns": columns}], "sources": [source]}


def servers_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children(recursive=True) if "serve" in child.cmdline()]


def wait_for(condition, seconds: float = 60.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError("it did not come about in time")


def start_build(tmp_path: Path, model: Path) -> subprocess.Popen:
    problems = write_problems(tmp_path / "p.jsonl", 400)
    recipe = write_recipe(tmp_path / "r.yaml", recipe_of(model, problems))
    command = [*DATAKIT, "build", "--recipe", str(recipe), "--out", str(tmp_path / "run")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "SOME_API_KEY": "sk-secret"})


def test_a_build_starts_a_server_samples_from_it_and_stops_it(model, tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", recipe_of(model, write_problems(tmp_path / "p.jsonl", 6)))
    done = datakit("build", "--recipe", recipe, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "run", "SELECT prompt_id, model, revision, count(DISTINCT text) AS n FROM responses GROUP BY ALL")
    assert len(rows) == 6 and all(row["n"] == 3 and row["model"] == str(model) for row in rows)
    assert rows[0]["revision"].startswith("local-"), "a folder's files are its revision"
    assert "Uvicorn running" in next((tmp_path / "run" / "logs").glob("*.log")).read_text()
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(model) in (p.info["cmdline"] or [])]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_server_outlives_the_build(model, tmp_path, sign):
    build = start_build(tmp_path, model)
    try:
        servers = wait_for(lambda: servers_of(build.pid))
        wait_for(lambda: any((tmp_path / "run" / "responses").glob("*")))
        assert "SOME_API_KEY" not in servers[0].environ()
        build.send_signal(sign)
        build.wait(30)
    finally:
        build.kill()
    _, alive = psutil.wait_procs(servers, timeout=15)
    assert not alive
    assert count(tmp_path / "run", "responses") > 0


def test_a_server_that_dies_is_named_with_the_end_of_its_log(model, tmp_path):
    build = start_build(tmp_path, model)
    servers = wait_for(lambda: servers_of(build.pid))
    wait_for(lambda: any((tmp_path / "run" / "responses").glob("*")))
    servers[0].kill()
    _, said = build.communicate(timeout=90)
    assert build.returncode == 3 and "the model server ended (status -9)" in said and "HTTP/1.1" in said


def test_a_server_that_cannot_start_shows_its_log(model, tmp_path):
    recipe = recipe_of(model, write_problems(tmp_path / "p.jsonl", 2), args=["--no-such-option"])
    done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
    assert done.returncode == 3 and "no-such-option" in done.stderr and "Traceback" not in done.stderr


def test_serve_command(model, tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", recipe_of(model, write_problems(tmp_path / "p.jsonl", 2)))
    serving = subprocess.Popen([*DATAKIT, "serve", "--recipe", str(recipe)], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert serving.stdout is not None
    url = serving.stdout.readline().split()[0]
    from openai import OpenAI

    answer = OpenAI(base_url=url, api_key="none").chat.completions.create(
        model=str(model), messages=[{"role": "user", "content": "Hi"}], max_tokens=5
    )
    assert answer.choices and json.loads(answer.model_dump_json())["usage"]["completion_tokens"] <= 5
    serving.send_signal(signal.SIGINT)
    assert serving.wait(30) == 130
