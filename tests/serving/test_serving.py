"""Model servers: how they are started, kept running, started again, and gone whatever happens.

What needs no model runs against a stand-in (stand_in.py) that the recipe's `python:` starts; everything else is the same. The
slow ones run `transformers serve` over a tiny model made on the spot. test_vllm.py does the same with vLLM.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from datakit.errors import BadInput, MissingExtra, needs_extra
from datakit.recipe import ServeSource, load
from datakit.serving import check, in_turns, launch, orphans
from datakit.serving.guard import STOP_S
from tests.helpers.command import DATAKIT, count, datakit, rows_of, write_problems, write_recipe
from tests.helpers.folders import HELPERS
from tests.helpers.forked import Forked
from tests.helpers.processes import gone, is_guard, lives, processes_of, servers_of
from tests.helpers.waiting import wait_for

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are adopted and found by their mark on Linux only")


def recipe_of(model: Path, problems: Path, *sources: dict) -> dict:
    """A math recipe whose sources are served; without any it has one."""
    common = {"type": "serve", "engine": "transformers", "model": str(model), "n": 3}
    columns = {"prompt_id": "id", "prompt": "question", "reference": "gold"}
    return {
        "domain": "math",
        "prompts": [{"type": "file", "path": str(problems), "columns": columns}],
        "sources": [common | source for source in sources or [{}]],
    }


# ------------------------------------------------------------------------------------- what is started, without a server


SOURCE = {"type": "serve", "engine": "vllm", "model": "org/model", "revision": "abc"}


def loaded(tmp_path: Path, *sources: dict):
    problems = write_problems(tmp_path / "p.jsonl", 2)
    recipe = recipe_of(Path("org/model"), problems, *sources)
    return load(write_recipe(tmp_path / "r.yaml", recipe))


@pytest.mark.parametrize(
    ("together", "turns"),
    [
        ([True, True], [[0, 1]]),
        ([False, True, False, True], [[1, 3], [0], [2]]),
        ([False, False], [[0], [1]]),
        ([], []),
    ],
)
def test_servers_run_together_first_and_then_one_after_the_other(tmp_path, together, turns):
    recipe = loaded(tmp_path, *({"system": str(at), "together": each} for at, each in enumerate(together)))
    sources = list(recipe.sources) if together else []
    assert in_turns(sources) == [[sources[at] for at in turn] for turn in turns]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SOURCE, "-m vllm.entrypoints.openai.api_server --model org/model --revision abc --host 127.0.0.1 --port 7"),
        ({**SOURCE, "model": "FOLDER"}, "/folder --host 127.0.0.1 --port 7"),  # its revision is a fingerprint
        ({**SOURCE, "dtype": "bfloat16"}, "--port 7 --dtype bfloat16"),
        ({**SOURCE, "tensor_parallel_size": 4, "args": ["--x"]}, "--port 7 --tensor-parallel-size 4 --x"),
        (
            {**SOURCE, "engine": "transformers", "dtype": "float32"},
            "serve org/model@abc --host 127.0.0.1 --port 7 --dtype float32",
        ),
    ],
)
def test_the_command_line_has_every_field(tmp_path, source, words):
    (tmp_path / "folder").mkdir()
    recipe = loaded(tmp_path, source | ({"model": str(tmp_path / "folder")} if source["model"] == "FOLDER" else {}))
    assert " ".join(launch.command(recipe.sources[0], 7)).endswith(words)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"engine": "transformers", "tensor_parallel_size": 2}, "sources.0.tensor_parallel_size: 2: only vllm has it"),
        ({"args": ["--dtype", "half"]}, "sources.0.args: --dtype: datakit sets this itself"),
        ({"args": ["--port=1"]}, "sources.0.args: --port: datakit sets this itself"),
        ({"pass_env": ["NO_SUCH_TOKEN"]}, "sources.0.pass_env: the environment variable NO_SUCH_TOKEN is not set"),
        ({"python": "no/python"}, "sources.0.python: no such interpreter: no/python"),
        ({"python": "without-vllm"}, "sources.0.python: without-vllm has no package 'vllm'"),
    ],
)
def test_what_is_wrong_with_a_source_is_found_before_it_is_started(tmp_path, source, message):
    (tmp_path / "without-vllm").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    (tmp_path / "without-vllm").chmod(0o755)
    recipe = loaded(tmp_path, SOURCE | source)
    with pytest.raises(BadInput, match=f"^{re.escape(message)}"):
        check(recipe.sources[0], "sources.0")


def test_where_vllm_and_the_extra_local_are_both_asked_for_it_says_that_they_exclude_one_another(tmp_path, monkeypatch):
    recipe = loaded(tmp_path, SOURCE)
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtra, match=r"'fuse-datakit\[vllm\]' in an environment without the extras local and train"):
        check(recipe.sources[0], "sources.0")
    monkeypatch.delitem(sys.modules, "vllm")
    (tmp_path / "vllm.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    there = r"\[local\]' in another environment: vLLM is installed"
    with pytest.raises(MissingExtra, match=there), needs_extra("local", "x"):
        raise ModuleNotFoundError(name="gone")
    with pytest.raises(MissingExtra, match=r"\[hub\]'$"), needs_extra("hub", "x"):
        raise ModuleNotFoundError(name="gone")


def test_the_environment_has_what_the_source_asks_for_and_no_secrets(tmp_path, monkeypatch):
    for name in ("SOME_API_KEY", "HF_TOKEN", "MY_TOKEN", "NODE_CREDENTIAL", "PLAIN"):
        monkeypatch.setenv(name, "as the caller has it")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    endpoint = {"type": "endpoint", "model": "m", "base_urls": ["http://h/v1"], "api_key_env": "NODE_CREDENTIAL"}
    (tmp_path / "folder").mkdir()
    source = {"env": {"CUDA_VISIBLE_DEVICES": "0,1", "PLAIN": "other"}, "pass_env": ["MY_TOKEN"]}
    sections = recipe_of(tmp_path / "folder", write_problems(tmp_path / "p.jsonl", 2), source, {**SOURCE, "n": 1})
    sections["sources"].append(endpoint)
    recipe = load(write_recipe(tmp_path / "r.yaml", sections))
    folder, hub = (
        launch.environment(source, recipe.key_names, threads=3) for source in recipe.sources if isinstance(source, ServeSource)
    )
    assert not {"SOME_API_KEY", "NODE_CREDENTIAL", "HF_TOKEN"} & set(folder), (
        "NODE_CREDENTIAL is named by an endpoint of the recipe"
    )
    assert (
        folder["MY_TOKEN"] == "as the caller has it" and folder["PLAIN"] == "other" and folder["CUDA_VISIBLE_DEVICES"] == "0,1"
    )
    assert folder["HF_HUB_OFFLINE"] == "1" and "HF_HUB_OFFLINE" not in hub
    assert "HF_TOKEN" in hub and "MY_TOKEN" not in hub, "the hub may want its own token"


def test_ports_are_different_and_not_those_of_outgoing_connections():
    ports = launch.free_ports(8)
    assert len(set(ports)) == 8 and max(ports) < 32_768


# -------------------------------------------------------------------------------------------------- against the stand-in


@pytest.fixture
def model(tmp_path) -> Path:
    """A folder that passes for a model, and beside it an interpreter that starts the stand-in in the place of an engine."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (tmp_path / "python").write_text(
        f'#!/bin/sh\ncase "$*" in *" --port "*) exec {sys.executable} {HELPERS / "stand_in.py"} "$@";; esac\n'
    )
    (tmp_path / "python").chmod(0o755)
    return folder


def start(model: Path, what: str, problems: int = 2, **source: object) -> Forked:
    """`datakit build` or `datakit serve` over a stand-in, in the folder above the model."""
    folder = model.parent
    recipe = recipe_of(model, write_problems(folder / "p.jsonl", problems), {"python": "python", "request": "n", **source})
    options = ["--out", str(folder / "run"), "--until", "sample"] if what == "build" else []
    env = {"SOME_API_KEY": "sk-secret", "MY_TOKEN": "mine"}
    return Forked(what, "--recipe", write_recipe(folder / "r.yaml", recipe), *options, env=env, cwd=folder)


def serving(process: Forked | subprocess.Popen) -> str:
    """The URL that `datakit serve` prints once its server answers."""
    return process.stdout.readline().split()[0]


def ends(process: Forked | subprocess.Popen, status: int, seconds: float = 60.0) -> str:
    """What the command said on stderr until it ended."""
    _, said = process.communicate(timeout=seconds)
    assert process.returncode == status, said
    return said


@LINUX
@pytest.mark.parametrize("sign", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_server_however_datakit_ends(model, sign):
    process = start(model, "serve", pass_env=["MY_TOKEN"])
    serving(process)
    started = processes_of(model)
    assert [is_guard(each) for each in started] == [True, False, False], "a guard, the server, and its worker"
    environment = started[1].environ()
    assert "SOME_API_KEY" not in environment and environment["MY_TOKEN"] == "mine"
    assert os.getsid(started[2].pid) == started[2].pid, "the worker has left the server's process group"
    process.send_signal(sign)
    ends(process, -sign if sign == signal.SIGKILL else 128 + sign)
    assert gone(started)


@LINUX
def test_a_server_that_is_killed_is_started_again_at_the_same_url_until_restarts_are_used_up(model):
    process = start(model, "serve", restarts=2)
    url = serving(process)
    from openai import OpenAI

    for which in (1, 0, 1):  # the server, then the guard itself
        started = processes_of(model)
        started[which].kill()
        assert gone(started), "neither its worker"
        if process.poll() is None and which < 2:
            new = wait_for(lambda: servers_of(model) or process.poll() is not None)
            if new is True:
                break
            client = OpenAI(base_url=url, api_key="none", max_retries=8)
            assert client.chat.completions.create(model="m", messages=[], seed=1).choices, "it answers where it did"
    said = ends(process, 3)
    assert "its server was killed by SIGKILL (out of memory?); restart 1 of 2" in said
    assert "the guard of its server was killed by SIGKILL; restart 2 of 2" in said
    assert "no restarts left (restarts: 2); its log" in said and "the stand-in has a worker" in said.rpartition("ends:")[2]
    log = (model.parent / "runs" / "logs" / "serve-0-model.log").read_text()
    assert log.count(" starts ") == 3, "the log is added to"


def test_a_build_goes_on_after_its_server_was_started_again(model):
    process = start(model, "build", problems=200, max_in_flight=2)
    wait_for(lambda: any((model.parent / "run" / "responses").glob("*")))
    servers_of(model)[0].kill()
    said = ends(process, 0)
    assert "restart 1 of 2" in said and "its server answers again" in said
    run = model.parent / "run"
    assert (count(run, "responses"), count(run, "failures")) == (600, 0)
    assert processes_of(model) == []


def test_a_build_stops_when_no_restart_is_left(model):
    process = start(model, "build", problems=1000, max_in_flight=2, restarts=0)
    wait_for(lambda: any((model.parent / "run" / "responses").glob("*")))
    servers_of(model)[0].kill()
    said = ends(process, 3)
    assert "killed by SIGKILL (out of memory?); no restarts left (restarts: 0)" in said and "POST /v1/chat/completions" in said
    assert count(model.parent / "run", "responses") > 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"args": ["--end"]}, r"its server ended \(exit status 1\); its log .*(.|\n)*Error: this stand-in does not want to"),
        ({"args": ["--hang"], "start_timeout_s": 3}, r"did not answer within 3 s \(start_timeout_s\).*(.|\n)*has a worker"),
    ],
)
def test_a_server_that_does_not_start_shows_the_end_of_its_log(model, source, message):
    said = ends(start(model, "build", **source), 3)
    assert re.search(message, said) and "Traceback" not in said
    assert processes_of(model) == []


@LINUX
def test_what_a_killed_guard_left_is_found_named_and_ended_by_the_next_start(model):
    build = start(model, "build", problems=1000, max_in_flight=2)
    wait_for(lambda: any((model.parent / "run" / "responses").glob("*")))
    guard, server, worker = processes_of(model)
    guard.suspend()  # it must not see that datakit is gone
    build.kill()
    ends(build, -signal.SIGKILL)
    guard.kill()
    assert gone([guard, server]) and lives(worker), "the kernel ends the server with its guard, but not the worker"
    other = subprocess.Popen(["sleep", "60"], env={**os.environ, orphans.MARK: orphans.mark(model.parent / "run/logs/x.log")})
    (model.parent / "p.jsonl").unlink()
    again = start(model, "build")
    said = ends(again, 0)
    assert re.search(rf"left by a datakit that was killed, ended now: processes {worker.pid} \(.*; serve-0-model.log\)", said)
    assert gone([worker], 0.1)
    assert other.poll() is None, "a process of this folder whose datakit lives is none"
    other.kill()
    other.wait()


@LINUX
@pytest.mark.slow
def test_what_does_not_end_by_sigterm_is_killed(model):
    process = start(model, "serve", args=["--slow-to-die"])
    serving(process)
    started = processes_of(model)
    began_at = time.monotonic()
    process.kill()
    assert gone(started, STOP_S + 10) and time.monotonic() - began_at > STOP_S
    ends(process, -signal.SIGKILL)


def test_servers_that_do_not_run_together_run_one_after_the_other(model, tmp_path):
    folder = model.parent
    one = {"python": "python", "together": False, "system": "first"}
    problems = write_problems(folder / "p.jsonl", 3)
    recipe = recipe_of(model, problems, one, one | {"system": "second"}, one | {"together": True, "system": "third"})
    path = write_recipe(folder / "r.yaml", recipe)
    build = Forked("build", "--recipe", path, "--out", folder / "run", "--until", "sample")
    most = 0
    while build.poll() is None:
        most = max(most, len(servers_of(model)))
        time.sleep(0.1)
    ends(build, 0)
    assert most == 1
    logs = sorted((folder / "run" / "logs").glob("*.log"), key=lambda log: log.stat().st_mtime)
    assert [log.name for log in logs] == ["serve-2-model.log", "serve-0-model.log", "serve-1-model.log"]
    assert count(folder / "run", "responses") == 27


@pytest.mark.slow
def test_serve_starts_those_that_run_together_or_the_one_that_is_named(model):
    folder = model.parent
    one = {"python": "python", "together": False, "system": "first"}
    recipe = recipe_of(model, write_problems(folder / "p.jsonl", 3), one, one | {"together": True, "system": "second"})
    path = write_recipe(folder / "r.yaml", recipe)
    assert "--source 2: not a source of type serve; those are 0, 1" in datakit("serve", "--recipe", path, "--source", 2).stderr
    for options, at in (([], 1), (["--source", "0"], 0)):
        process = Forked("serve", "--recipe", path, *options, cwd=folder)
        line = process.stdout.readline()
        assert f"serve-{at}-model.log" in line
        process.send_signal(signal.SIGINT)
        said = ends(process, 130)
        assert ("not started, because they run alone (together: false): sources 0" in said) == (at == 1)


# --------------------------------------------------------------------------------------- `transformers serve`, a tiny model


CB = ["--device", "cpu", "--continuous-batching", "--cb-num-blocks", "64", "--cb-max-batch-tokens", "128"]
REAL = {"args": CB, "dtype": "float32", "sampling": {"temperature": 1.0, "max_tokens": 12}}


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
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


def start_real(llama: Path, folder: Path, *sources: dict, problems: int = 400) -> subprocess.Popen:
    recipe = recipe_of(llama, write_problems(folder / "p.jsonl", problems), *(REAL | source for source in sources or ({},)))
    command = [*DATAKIT, "build", "--recipe", str(write_recipe(folder / "r.yaml", recipe)), "--out", str(folder / "run")]
    return subprocess.Popen([*command, "--until", "sample"], stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_build_samples_from_real_servers_one_after_the_other(llama, tmp_path):
    build = start_real(llama, tmp_path, {"together": False}, {"together": False, "system": "Be brief."}, problems=6)
    seen: list[psutil.Process] = []
    while build.poll() is None:
        for server in servers_of(llama):
            if server not in seen:
                assert not any(lives(other) for other in seen), "the first is gone when the second starts"
                seen.append(server)
        time.sleep(0.1)
    ends(build, 0)
    assert len(seen) == 2
    rows = rows_of(
        tmp_path / "run", "SELECT prompt_id, sampling, model, revision, count(DISTINCT text) AS n FROM responses GROUP BY ALL"
    )
    assert len(rows) == 12 and all(row["n"] == 3 and row["model"] == str(llama) for row in rows)
    assert rows[0]["revision"].startswith("local-"), "a folder's files are its revision"
    assert "Uvicorn running" in (tmp_path / "run" / "logs" / f"serve-0-{llama.name}.log").read_text()
    assert processes_of(llama) == []


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_no_real_server_outlives_the_build(llama, tmp_path, sign):
    build = start_real(llama, tmp_path)
    wait_for(lambda: any((tmp_path / "run" / "responses").glob("*")))
    started = processes_of(llama)
    assert len(started) >= 2
    build.send_signal(sign)
    ends(build, 143 if sign == signal.SIGTERM else -9)
    assert gone(started)
    assert count(tmp_path / "run", "responses") > 0


@pytest.mark.slow
def test_a_real_server_that_is_killed_comes_back_once_and_then_is_named_with_the_end_of_its_log(llama, tmp_path):
    build = start_real(llama, tmp_path, {"restarts": 1})
    wait_for(lambda: any((tmp_path / "run" / "responses").glob("*")))
    servers_of(llama)[0].kill()
    log = tmp_path / "run" / "logs" / f"serve-0-{llama.name}.log"
    wait_for(
        lambda: "POST /v1/chat/completions" in log.read_text().split(" starts ")[-1] and log.read_text().count(" starts ") == 2
    )
    servers_of(llama)[0].kill()
    said = ends(build, 3)
    assert "restart 1 of 1" in said and "no restarts left (restarts: 1)" in said and "HTTP/1.1" in said


@pytest.mark.slow
def test_a_real_server_that_cannot_start_shows_its_log(llama, tmp_path):
    said = ends(start_real(llama, tmp_path, {"args": ["--no-such-option"]}, problems=2), 3)
    assert "no-such-option" in said and "Traceback" not in said


@pytest.mark.slow
def test_serve_command(llama, tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", recipe_of(llama, write_problems(tmp_path / "p.jsonl", 2), REAL))
    from openai import OpenAI

    command = [*DATAKIT, "serve", "--recipe", str(recipe)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        with OpenAI(base_url=serving(process), api_key="none") as client:
            answer = client.chat.completions.create(
                model=str(llama), messages=[{"role": "user", "content": "Hi"}], max_tokens=5
            )
        assert answer.choices and json.loads(answer.model_dump_json())["usage"]["completion_tokens"] <= 5
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
