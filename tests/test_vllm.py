"""Real vLLM, its build for CPUs: native n, seeds, metrics, nothing left of its many processes, and served reward models.

`make test-vllm` installs it in an environment of its own and names that environment's interpreter in DATAKIT_VLLM_PYTHON.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from datakit.recipe import Served, load
from datakit.rewards.selfcheck import CONVERSATIONS
from datakit.score.remote import self_check
from datakit.serving import end_orphans
from tests.helpers.command import DATAKIT, count, datakit, rows_of, write_recipe
from tests.helpers.folders import ROOT
from tests.helpers.processes import gone, lives, processes_of, servers_of
from tests.helpers.waiting import wait_for

PYTHON = os.environ.get("DATAKIT_VLLM_PYTHON")
LLAMA, QWEN = (ROOT / "data" / "micro" / name for name in ("llama", "qwen2"))
START_S = 600.0  # on two busy cores; a minute on idle ones
N = 4

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(not PYTHON, reason="DATAKIT_VLLM_PYTHON names no interpreter that has vLLM: make test-vllm"),
]


def source_of(model: Path) -> dict[str, Any]:
    """A seeded request crashes vLLM's CPU build under load where a prompt is computed in chunks."""
    return {
        "type": "serve",
        "engine": "vllm",
        "python": PYTHON,
        "model": str(model),
        "dtype": "bfloat16",
        "args": ["--max-model-len", "512", "--no-enable-chunked-prefill", "--enforce-eager"],
        "env": {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
        "start_timeout_s": START_S,
        "n": N,
        "request": "n",
        "max_in_flight": 4,
        "sampling": {"temperature": 0.9, "max_tokens": 48},
    }


def command(folder: Path, what: str, *models: Path) -> list[str]:
    problems = folder / "p.jsonl"
    if not problems.exists():
        asked = (f"Tom has {at} apples and buys {at % 7 + 2} more. How many apples does he have?" for at in range(2, 402))
        lines = (json.dumps({"id": f"p/{at}", "question": text, "gold": "1"}) for at, text in enumerate(asked))
        problems.write_text("".join(f"{line}\n" for line in lines))
    columns = {"prompt_id": "id", "prompt": "question", "reference": "gold"}
    recipe = {
        "domain": "math",
        "prompts": [{"type": "file", "path": str(problems), "columns": columns}],
        "sources": [source_of(model) for model in models],
    }
    options = ["--out", str(folder / "run"), "--until", "sample"] if what == "build" else []
    return [*DATAKIT, what, "--recipe", str(write_recipe(folder / "r.yaml", recipe)), *options]


def has_responses(run: Path, build: subprocess.Popen) -> bool:
    assert build.poll() is None, "the build ended too early"
    return any(path.stat().st_size for path in (run / "responses").glob("*"))


def family(*models: Path) -> list[psutil.Process]:
    """All processes of the servers: vLLM's engine and its workers are processes of their own."""
    return [process for model in models for process in processes_of(model)]


def test_a_build_over_two_servers_survives_what_is_killed(tmp_path):
    run, asked = tmp_path / "run", command(tmp_path, "build", LLAMA, QWEN)
    with subprocess.Popen(asked) as build:
        wait_for(lambda: has_responses(run, build), START_S)
        started = family(LLAMA, QWEN)
        assert sum("EngineCore" in " ".join(process.cmdline()) for process in started) == 2
        build.kill()
    assert gone(started, 40), "kill -9 of datakit leaves nothing of vLLM"
    before = count(run, "responses")
    assert 0 < before < 2 * N * 400

    with subprocess.Popen(asked, stderr=subprocess.PIPE, text=True) as again:
        wait_for(lambda: count(run, "responses") > before or again.poll() is not None, START_S)
        server = servers_of(LLAMA)[0]
        engine = server.children(recursive=True)
        server.kill()
        assert gone(engine, 40), "the engine of a server that is gone goes before the next one starts"
        _, said = again.communicate(timeout=2 * START_S)
    assert again.returncode == 0 and "restart 1 of 2" in said and "its server answers again" in said, said
    assert count(run, "failures") == 0
    rows = rows_of(run, "SELECT model, prompt_id, count(*) AS n, count(DISTINCT text) AS texts FROM responses GROUP BY ALL")
    assert len(rows) == 800 and {row["n"] for row in rows} == {N}
    for model in (LLAMA, QWEN):
        distinct = [row["texts"] for row in rows if row["model"] == str(model)]
        assert sum(texts > 1 for texts in distinct) > 0.9 * len(distinct), f"{model.name}: samples are no copies"
    assert family(LLAMA, QWEN) == []


def test_lines_go_through_run_batch_and_back(tmp_path):
    """By hand, as on a machine without network: written, answered by vLLM's own offline runner, read."""
    columns = {"prompt_id": "id", "prompt": "question", "reference": "gold"}
    asked = [f"Tom has {at} apples and buys {at % 7 + 2} more. How many apples does he have?" for at in range(2, 14)]
    asked.append("How many? " * 400)
    (tmp_path / "p.jsonl").write_text(
        "".join(json.dumps({"id": f"p/{at}", "question": text, "gold": "1"}) + "\n" for at, text in enumerate(asked))
    )
    recipe = {
        "domain": "math",
        "prompts": [{"type": "file", "path": str(tmp_path / "p.jsonl"), "columns": columns}],
        "sources": [source_of(LLAMA)],
    }
    run, lines, results = (tmp_path / name for name in ("run", "lines.jsonl", "results.jsonl"))
    path = write_recipe(tmp_path / "r.yaml", recipe)
    assert datakit("batch", "write", "--recipe", path, "--out", run, lines).returncode == 0
    options = ["--model", str(LLAMA), "--dtype", "bfloat16", *source_of(LLAMA)["args"]]
    command = [str(PYTHON), "-m", "vllm.entrypoints.openai.run_batch", "-i", str(lines), "-o", str(results), *options]
    env = os.environ | source_of(LLAMA)["env"] | {"HF_HUB_OFFLINE": "1"}
    env.pop("PYTHONPATH", None)
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=2 * START_S)
    assert ran.returncode == 0, ran.stderr[-3000:]
    done = datakit("batch", "read", run, results)
    assert done.returncode == 0 and f"{12 * N} answers stored, {N} lines without an answer, 0 there already" in done.stderr
    rows = rows_of(run, "SELECT prompt_id, count(DISTINCT text) AS texts, min(n_tokens) AS n FROM responses GROUP BY 1")
    assert len(rows) == 12 and sum(row["texts"] > 1 for row in rows) >= 10 and all(row["n"] > 0 for row in rows)
    failures = rows_of(run, "SELECT DISTINCT error, permanent FROM failures")
    assert failures == [{"error": "http_400", "permanent": True}], "a prompt that is too long"


def complete(url: str, seed: int) -> list[str]:
    body = {
        "model": str(LLAMA), "messages": [{"role": "user", "content": "Tom has 3 apples and buys 4 more. How many?"}],
        "n": 5, "seed": seed, "temperature": 1.0, "max_tokens": 32,
    }  # fmt: skip
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [choice["message"]["content"] for choice in json.load(answer)["choices"]]


def test_seeds_metrics_and_an_engine_that_outlives_its_guard(tmp_path):
    with subprocess.Popen(command(tmp_path, "serve", LLAMA), stdout=subprocess.PIPE, text=True, cwd=tmp_path) as datakit:
        assert datakit.stdout is not None
        url = datakit.stdout.readline().split()[0]
        first = complete(url, 7)
        assert len(first) == 5 and len(set(first)) > 1, "five samples by one request"
        assert complete(url, 7) == first and complete(url, 8) != first
        with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics", timeout=10) as metrics:
            assert b"vllm:num_requests_waiting{" in metrics.read()
        guard, *others = family(LLAMA)
        guard.suspend()  # it must not see that datakit is gone
        datakit.kill()
    guard.kill()
    left = [process for process in others if "VLLM::" in " ".join(process.cmdline())]
    assert len(left) >= 1 and lives(left[0]), "vLLM's engine does not notice that its server is gone"
    said: list[str] = []
    end_orphans(tmp_path / "runs" / "logs", lambda text, warning=False: said.append(text))
    assert gone(others, 1) and "VLLM::EngineCore" in said[0] and "serve-0-llama.log" in said[0]


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """The URL of vLLM with a classifier, in float32."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--model", str(model), "--served-model-name", "tiny", "--dtype", "float32", "--enforce-eager"]
    asked = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", *options, "--host", "127.0.0.1", "--port", str(port)]
    env = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    env.pop("PYTHONPATH", None)
    with (model / "server.log").open("w") as log, subprocess.Popen(asked, env=env, stdout=log, stderr=log) as server:
        try:
            wait_for(lambda: answers(port) or server.poll() is not None, START_S)
            assert server.poll() is None, (model / "server.log").read_text()[-2000:]
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            for process in processes_of(model):
                process.kill()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_a_served_classifier_gives_the_scores_of_the_one_on_this_machine(tmp_path):
    """vLLM in float32 against our own float32, over its chat template, special tokens and activation."""
    from tests.helpers.tiny_models import make_classifier

    folder = tmp_path / "tiny"
    folder.mkdir()
    model = make_classifier(folder, hidden_size=128, head_dim=32)  # vLLM's attention on CPUs takes no smaller heads
    answers = [
        {"id": f"p{at}", "messages": messages[:-1], "model": "m", "text": text, "k": sample}
        for at, messages in enumerate(CONVERSATIONS[1:])
        for sample, text in enumerate([messages[-1]["content"] or "Nothing.", f"Answer {at}!"])
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    with serving(model) as url:
        served = {"type": "served", "model": "tiny", "base_urls": [url]}
        recipe = {
            "domain": "instruct",
            "sources": [
                {"type": "responses", "path": "a.jsonl", "columns": {"prompt_id": "id", "sample_index": "k"}},
            ],
            "score": [
                served | {"revision": "by-classify"},
                served | {"revision": "by-pooling", "api": "pooling"},
                {"type": "classifier", "model": "tiny", "dtype": "float32", "devices": ["cpu"]},
            ],
            "select": {"judge": "served@tiny:by-classify", "split": "share", "sft_share": 0.0},
        }
        path, run = write_recipe(tmp_path / "r.yaml", recipe), tmp_path / "run"
        done = datakit("build", "--recipe", path, "--out", run)
        reward = load(path).score[0]
        assert isinstance(reward, Served)
        [(_, findings)] = self_check(reward)
    assert done.returncode == 0, done.stderr
    assert findings.differences == [], "alone and beside others"
    for api in ("classify", "pooling"):
        rows = rows_of(
            run,
            "SELECT abs(s.score - o.score) AS off FROM scores s JOIN scores o USING (response_id) "
            f"WHERE s.judge = 'served@tiny:by-{api}' AND o.judge LIKE 'classifier@%'",
        )
        assert len(rows) == 21 and max(row["off"] for row in rows) < 1e-3
    spread = rows_of(run, "SELECT min(score) AS low, max(score) AS high FROM scores WHERE judge = 'served@tiny:by-classify'")
    assert spread[0]["low"] < 0 and spread[0]["high"] > 1, "no probabilities"
    failed = rows_of(run, "SELECT DISTINCT source, error FROM failures")
    assert len(failed) == 3 and {row["error"] for row in failed} == {"too_long"}, "the same conversations are too long for both"
    assert count(run, "pairs") > 0


def test_its_prompt_logprobs_are_those_of_a_forward_pass_here(tmp_path):
    """The worked answers of twenty problems, read by vLLM and in a worker of the build: the same ten tokens in each place, the
    same log-probabilities within 1e-3, whichever way the server cuts its batches."""
    problems = [json.loads(line) for line in (ROOT / "data" / "math" / "problems.jsonl").read_text().splitlines()[:20]]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))
    columns = {"prompt": "question", "reference": "answer", "solution": "solution"}
    served = source_of(QWEN) | {"n": 0, "dtype": "float32", "sampling": {"temperature": 0.5, "max_tokens": 8}}
    recipe = {
        "domain": "math",
        "prompts": [{"type": "file", "path": str(tmp_path / "p.jsonl"), "columns": columns}],
        "sources": [served, {"type": "local", "model": str(QWEN), "n": 0, "dtype": "float32", "devices": ["cpu"]}],
        "score": None, "select": {"margin": None}, "limits": {"min_pairs": None},
        "probe": {"texts": "solutions", "top_k": 10}, "export": {"teacher": "min_ce"},
    }  # fmt: skip
    done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "run", "SELECT * FROM distributions ORDER BY text_id, reading")
    assert len(rows) == 40 and count(tmp_path / "run", "failures") == 0
    for here, there in zip(rows[::2], rows[1::2], strict=True):
        assert '"way":"local"' in here["reading"] and '"way":"vllm"' in there["reading"]
        assert (here["token_ids"], here["ends"], here["n_bytes"]) == (there["token_ids"], there["ends"], there["n_bytes"])
        assert there["token_logprobs"] == pytest.approx(here["token_logprobs"], abs=1e-3)
        assert there["top_logprobs"] == pytest.approx(here["top_logprobs"], abs=1e-3, rel=1e-3), (
            "half floats have steps of 2^-10"
        )
        for at in range(0, len(here["top_ids"]), 10):
            assert set(there["top_ids"][at : at + 10]) == set(here["top_ids"][at : at + 10])
    assert family(QWEN) == []
