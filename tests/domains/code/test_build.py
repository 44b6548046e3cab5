"""Builds of the code domain through the real command: imported programs, their verdicts, pairs, resumes, ends, checks."""

from __future__ import annotations

import base64
import gzip
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from datakit.sandbox.inside.confine import landlock_abi
from datakit.store import Run
from tests.helpers.command import DATAKIT, datakit, write_recipe
from tests.helpers.folders import ROOT
from tests.helpers.waiting import wait_for

if sys.platform != "linux" or not (landlock_abi() or shutil.which("bwrap")):
    pytest.skip("nothing on this machine can confine a program: no Landlock, no bubblewrap", allow_module_level=True)

SECRETS = {"DATAKIT_TEST_SECRET": "tell-nobody-1", "OPENAI_API_KEY": "tell-nobody-2", "HF_TOKEN": "tell-nobody-3"}

PROMPTS: dict[str, dict[str, Any]] = {
    "easy": {"prompt": "Write easy().", "tests": ["assert easy() == 1"]},
    "add": {"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"]},
    "last": {
        "prompt": 'def last(items):\n    """The last item."""\n',
        "tests": "def check(candidate):\n    assert candidate([1, 2]) == 2\n",
        "entry_point": "last",
    },
    "echo": {"prompt": "Print the line that is read.", "tests": [{"input": "a b\n", "output": "a b"}]},
    "hard": {"prompt": "Write hard().", "tests": "assert hard() == 42"},
    "secret": {"prompt": "Write leak().", "tests": "assert leak() == {}"},
    "broken": {"prompt": "Write broken().", "tests": "assert broken() =="},
}
LEAK = (
    "import os\ndef leak():\n    try: seen = open('/proc/self/environ').read()\n    except OSError: seen = ''\n"
    "    return {k: v for k, v in os.environ.items()} | ({'seen': seen} if 'tell-nobody' in seen else {})"
)
ANSWERS: dict[str, dict[str, list]] = {
    # prompt: model: (program, outcome), in the order of its samples
    "easy": {
        "alpha": [("def easy():\n    return 1", "passed"), ("easy = lambda: 1", "passed")],
        "beta": [("def easy(): return 1.0", "passed")],
    },
    "add": {
        "alpha": [
            ("def add(a, b):\n    return a + b", "passed"),
            ("def add(a, b):\n    total = a\n    total += b\n    return total", "passed"),
            ("def add(a, b):\n    return a - b", "failed"),
            ("def add(a, b):\n    return a + c", "failed"),
        ],
        "beta": [
            ("def add(x, y):\n    return sum((x, y))", "passed"),
            ("import time\ndef add(x, y):\n    time.sleep(60)\n    return x + y", "timeout"),
        ],
    },
    "last": {
        "alpha": [("def last(items):\n    return items[-1]", "passed"), ("def last(items):\n    return items[0]", "failed")],
        "beta": [("def last(items)\n    return items[-1]", "failed"), ("def last(items):\n    raise SystemExit(0)", "failed")],
    },
    "echo": {
        "alpha": [("print(input())", "passed"), ("print(input()[0])", "failed"), ("import sys\nsys.exit(3)", "failed")],
    },
    "hard": {
        "alpha": [("def hard():\n    return 41", "failed"), ("def hard():\n    while True: pass", "timeout")],
        "beta": [("def hard():\n    return bytes(10 ** 12)", "failed"), (None, "unparseable")],
    },
    "secret": {"alpha": [(LEAK, "passed")]},
    "broken": {"alpha": [("def broken(): return 1", "unverifiable")]},
}  # fmt: skip
N_TIMEOUTS = 2


def answer(program: str | None) -> str:
    return "I do not know." if program is None else f"Like this:\n\n```python\n{program}\n```\n"


def write_answers(folder: Path, prompts: dict[str, dict] = PROMPTS, answers: dict = ANSWERS) -> dict:
    """The responses as a file; gives the recipe of a build from them."""
    rows = [
        {"id": prompt, **prompts[prompt], "who": model, "said": answer(program), "at": at}
        for prompt, models in answers.items()
        for model, programs in models.items()
        for at, (program, _) in enumerate(programs)
    ]
    (folder / "responses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = {"prompt_id": "id", "reference": "tests", "model": "who", "text": "said", "sample_index": "at"}
    source = {"type": "responses", "path": "responses.jsonl", "columns": columns}
    return {"domain": "code", "sources": [source], "verify": {"timeout_s": 1, "memory_mb": 512, "workers": 2}}


def build(folder: Path, recipe: dict, *args: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return datakit("build", "--recipe", write_recipe(folder / "recipe.yaml", recipe), "--out", folder / "run", *args, env=env)


def temp_folder(folder: Path) -> Path:
    temp = folder / "temp"
    temp.mkdir()
    temp.chmod(0o1777)
    return temp


def sandboxes(temp: Path) -> list[str]:
    """Working folders and processes of sandboxes that work in a temporary folder."""
    found = [path.name for path in temp.glob("datakit-sandbox-*")]
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
        except OSError:
            continue
        if "datakit.sandbox.inside.zygote" in command and str(temp) in command:
            found.append(entry.name)
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A finished build, without a judge, with secrets in its environment; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("code")
    temp = temp_folder(folder)
    done = build(folder, write_answers(folder), env={**SECRETS, "TMPDIR": str(temp)})
    assert done.returncode == 0, done.stderr
    assert sandboxes(temp) == [] and list(temp.iterdir()) == [], "nothing is left of its sandboxes"
    return folder, done


@pytest.fixture
def copy(built, tmp_path) -> Path:
    shutil.copytree(built[0], tmp_path / "copy")
    return tmp_path / "copy"


def rows_of(run: Path, query: str) -> list[dict]:
    """What SQL says of a run."""
    with Run.open(run) as opened:
        return opened.query(query).to_dicts()


def verdicts_of(run: Path) -> list[dict]:
    return rows_of(run, "SELECT prompt_id, model, sample_index, text, v.* FROM responses r JOIN verdicts v USING (response_id)")


def parts(run: Path, table: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted((run / table).rglob("*")) if path.is_file()}


def test_every_response_has_the_verdict_that_its_program_deserves(built):
    found = verdicts_of(built[0] / "run")
    expected = {
        (prompt, model, at): outcome
        for prompt, models in ANSWERS.items()
        for model, programs in models.items()
        for at, (_, outcome) in enumerate(programs)
    }
    assert {(row["prompt_id"], row["model"], row["sample_index"]): row["outcome"] for row in found} == expected, found
    assert len(found) == len(expected)
    assert {row["verifier"] for row in found} == {"code@2+memory_mb=512+timeout_s=1"}
    for row in found:
        assert row["extracted"] is None or answer(row["extracted"].strip()) == row["text"]


def test_details_say_why(built):
    details = {(row["prompt_id"], row["model"], row["sample_index"]): row["detail"] for row in verdicts_of(built[0] / "run")}
    for at, said in {
        ("add", "alpha", 0): r"^2 tests \[fence, (landlock|bubblewrap)\]$",
        ("add", "alpha", 2): r"^test 1 of 2: assert add\(1, 2\) == 3: AssertionError",
        ("add", "alpha", 3): r"^static analysis: F821 undefined name 'c' \(line 2\) \[fence, ",
        ("add", "beta", 1): r"^test 1 of 2: assert add\(1, 2\) == 3: no answer within 1 s",
        ("last", "beta", 0): r"^does not compile: SyntaxError",
        ("last", "beta", 1): r"^check\(last\): SystemExit: 0",
        ("echo", "alpha", 1): r"^input 1 of 1: printed 'a', not 'a b'",
        ("echo", "alpha", 2): r"^input 1 of 1: exit status 3",
        ("hard", "beta", 0): r"MemoryError: over 512 MB",
        ("hard", "beta", 1): r"^no code found \[",
        ("broken", "alpha", 0): r"^the tests do not compile",
    }.items():
        assert re.search(said, details[at]), details[at]


def test_no_secret_of_the_environment_reaches_a_program(built):
    (leak,) = [row for row in verdicts_of(built[0] / "run") if row["prompt_id"] == "secret"]
    assert leak["outcome"] == "passed", leak["detail"]
    for path in (built[0] / "run").rglob("*"):
        assert not path.is_file() or b"tell-nobody-" not in path.read_bytes(), path


def test_timeouts_are_tried_once_more_and_stay_timeouts(built):
    said = " ".join(built[1].stderr.split())
    assert f"{N_TIMEOUTS} answers took too long; each is tried once more, alone" in said
    timeouts = [row for row in verdicts_of(built[0] / "run") if row["outcome"] == "timeout"]
    assert len(timeouts) == N_TIMEOUTS and all(row["duration_s"] >= 1 for row in timeouts)


def answers_of(prompt: str, model: str, *outcomes: str) -> set[str]:
    return {answer(program) for program, outcome in ANSWERS[prompt].get(model, []) if outcome in outcomes}


def selected(run: Path) -> tuple[list[dict], list[dict]]:
    pairs = rows_of(
        run,
        """SELECT p.prompt_id, p.model, p.margin, c.model AS a, r.model AS b, c.text AS chosen, r.text AS rejected,
                  p.chosen_id, p.rejected_id
           FROM pairs p JOIN responses c ON c.response_id = p.chosen_id JOIN responses r ON r.response_id = p.rejected_id""",
    )
    return pairs, rows_of(run, "SELECT d.prompt_id, d.response_id, text FROM demos d JOIN responses USING (response_id)")


def test_without_a_judge_a_pair_is_a_pass_and_a_wrong_one_of_one_source_and_ties_go_by_hash(built):
    run = built[0] / "run"
    pairs, demos = selected(run)
    assert sorted(pair["prompt_id"] for pair in pairs) == ["add", "echo", "last"]
    assert [demo["prompt_id"] for demo in sorted(demos, key=lambda demo: demo["prompt_id"])] == ["easy", "secret"]
    for pair in pairs:
        assert pair["model"] == pair["a"] == pair["b"] and pair["margin"] is None
        assert pair["chosen"] in answers_of(pair["prompt_id"], pair["model"], "passed")
        assert pair["rejected"] in answers_of(pair["prompt_id"], pair["model"], "failed", "timeout"), (
            "a timeout counts as wrong"
        )
    by_outcome = defaultdict(set)
    for row in verdicts_of(run):
        by_outcome[row["prompt_id"], row["outcome"] == "passed", row["model"]].add(row["response_id"])
    (last,) = [pair for pair in pairs if pair["prompt_id"] == "last"]
    assert last["rejected_id"] == min(by_outcome["last", False, "alpha"])
    (add,) = [pair for pair in pairs if pair["prompt_id"] == "add"]
    assert add["chosen_id"] == min(min(by_outcome["add", True, model]) for model in ("alpha", "beta"))
    assert add["rejected_id"] == min(by_outcome["add", False, add["model"]])
    (demo,) = [demo for demo in demos if demo["prompt_id"] == "easy"]
    assert demo["response_id"] == min(by_outcome["easy", True, "alpha"] | by_outcome["easy", True, "beta"])


def test_prompts_that_nobody_passes_are_counted_and_are_in_neither_export(built):
    run = built[0] / "run"
    report = json.loads(datakit("inspect", run, "--json").stdout)
    uses = {row["use"]: row["responses"] for row in report["answers"]}
    outcomes = [outcome for models in ANSWERS.values() for programs in models.values() for _, outcome in programs]
    n_wrong = outcomes.count("failed") + outcomes.count("timeout")
    assert uses == {
        "right": outcomes.count("passed"), "wrong": n_wrong, "cannot judge: unparseable": 1, "cannot judge: unverifiable": 1
    }  # fmt: skip
    assert {row["reason"]: row["prompts"] for row in report["lost"] if row["prompts"]} == {
        "no wrong answer": 2, "no right answer": 1, "nothing to judge by": 1
    }  # fmt: skip
    for kind in ("sft", "dpo"):
        exported = rows_of(run, f"SELECT prompt_id FROM '{run / kind / 'train.parquet'}'")
        assert exported and not {row["prompt_id"] for row in exported} & {"hard", "broken"}


def test_a_second_build_verifies_nothing(copy):
    run, recipe = copy / "run", write_answers(copy)
    before = {table: parts(run, table) for table in ("verdicts", "responses", "pairs", "demos")}
    recipe["verify"]["workers"] = 1
    again = build(copy, recipe)
    assert again.returncode == 0 and "took too long" not in again.stderr
    assert {table: parts(run, table) for table in before} == before


@pytest.mark.slow
def test_changed_tests_and_changed_limits_are_verified_anew_beside_the_old_verdicts(copy):
    run, old = copy / "run", verdicts_of(copy / "run")
    recipe = write_answers(copy, {**PROMPTS, "easy": {**PROMPTS["easy"], "tests": ["assert easy() == 2"]}})
    assert build(copy, recipe).returncode == 0
    fresh = [row for row in verdicts_of(run) if row not in old]
    assert {(row["prompt_id"], row["outcome"]) for row in fresh} == {("easy", "failed")} and len(fresh) == 3
    assert {demo["prompt_id"] for demo in selected(run)[1]} == {"secret"}
    recipe = write_answers(copy)
    recipe["verify"]["timeout_s"] = 1.5
    assert build(copy, recipe, "--limit", "1").returncode == 0
    assert [row["prompt_id"] for row in verdicts_of(run) if row["verifier"].endswith("timeout_s=1.5")] == ["easy"] * 3


@pytest.mark.slow
def test_with_a_judge_the_best_pass_meets_the_worst_wrong_answer_of_its_source(copy):
    """FuseChat-3.0: pairs of one source, highest score against lowest; demos are the highest scored passes."""
    pytest.importorskip("torch")
    run, recipe = copy / "run", write_answers(copy)
    before = parts(run, "verdicts")
    recipe["score"] = {
        "type": "armorm",
        "model": str(ROOT / "data" / "micro" / "reward"),
        "dtype": "float32",
        "devices": ["cpu"],
    }
    recipe["select"] = {"per_prompt": "one_per_source"}
    done = build(copy, recipe)
    assert done.returncode == 0, done.stderr
    assert parts(run, "verdicts") == before
    pairs, demos = selected(run)
    score = {row["response_id"]: row["score"] for row in rows_of(run, "SELECT response_id, score FROM scores")}
    rows = verdicts_of(run)
    assert len(set(score.values())) > len(score) // 2, "the judge tells answers apart"

    def scored(prompt: str, model: str | None, *outcomes: str) -> list[tuple[float, str]]:
        return sorted(
            (score[row["response_id"]], row["response_id"])
            for row in rows
            if row["prompt_id"] == prompt and model in (None, row["model"]) and row["outcome"] in outcomes
        )

    expected = {}
    for prompt, models in ANSWERS.items():
        for model in models:
            right, wrong = scored(prompt, model, "passed"), scored(prompt, model, "failed", "timeout")
            if right and wrong:
                expected[prompt, model] = (right[-1][1], wrong[0][1], pytest.approx(right[-1][0] - wrong[0][0]))
    assert {(p["prompt_id"], p["model"]): (p["chosen_id"], p["rejected_id"], p["margin"]) for p in pairs} == expected
    assert len(expected) == 4
    assert {demo["prompt_id"]: demo["response_id"] for demo in demos} == {
        prompt: scored(prompt, None, "passed")[-1][1] for prompt in ("easy", "secret")
    }

    assert datakit("select", run, "--set", "select.per_prompt=one").returncode == 0
    best = {prompt: max(m[2].expected for (p, _), m in expected.items() if p == prompt) for prompt, _ in expected}
    assert {pair["prompt_id"]: pytest.approx(pair["margin"]) for pair in selected(run)[0]} == best


# --------------------------------------------------------------------------------------------------------------- stopped

MANY = {"many": {f"m{n}": [(f"import time\ndef many():\n    time.sleep(0.4)\n    return {n}", "failed")] for n in range(60)}}
OF_TERM, OF_KILL = (
    pytest.param(sign, status, marks=pytest.mark.slow) for sign, status in ((signal.SIGTERM, 143), (signal.SIGKILL, -9))
)
MANY_PROMPTS = {"many": {"prompt": "Write many().", "tests": "assert many() == -1"}}


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), OF_TERM, OF_KILL])
def test_nothing_is_left_of_a_build_that_is_stopped_while_its_sandbox_starts(tmp_path, sign, status):
    temp = temp_folder(tmp_path)
    recipe = write_recipe(tmp_path / "recipe.yaml", write_answers(tmp_path))
    process = subprocess.Popen(
        [*DATAKIT, "build", "--recipe", str(recipe), "--out", str(tmp_path / "run")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temp), "COLUMNS": "200"},
    )
    wait_for(lambda: sandboxes(temp), 60)
    time.sleep(0.05)  # behind the making of its folder, before it is ready
    process.send_signal(sign)
    _, said = process.communicate(timeout=30)
    assert process.returncode == status and "Traceback" not in said, said
    wait_for(lambda: sandboxes(temp) == [], 5)


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), OF_KILL])
def test_nothing_is_left_of_a_build_that_is_stopped_while_it_verifies(tmp_path, sign, status):
    temp = temp_folder(tmp_path)
    recipe = write_recipe(tmp_path / "recipe.yaml", write_answers(tmp_path, MANY_PROMPTS, MANY))
    process = subprocess.Popen(
        [*DATAKIT, "build", "--recipe", str(recipe), "--out", str(tmp_path / "run")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temp), "COLUMNS": "200"},
    )
    verdicts = tmp_path / "run" / "verdicts"
    wait_for(lambda: process.poll() is not None or any(path.stat().st_size for path in verdicts.glob("journal-*")), 60)
    if landlock_abi():
        assert sandboxes(temp), "it runs programs"
    process.send_signal(sign)
    _, said = process.communicate(timeout=30)
    assert process.returncode == status, said
    assert sign == signal.SIGKILL or ("Go on with: datakit build --recipe" in said and "Traceback" not in said)
    wait_for(lambda: sandboxes(temp) == [], 5)
    stored = len(verdicts_of(tmp_path / "run"))
    assert 0 < stored < 60, "what was verified is kept"


# ----------------------------------------------------------------------------------------------------------------- check

STRONG: dict[str, Any] = {
    "tests": ["assert clip(4) == 3", "assert clip(3) == 3", "assert clip(2) == 2", "assert clip(-4) == -4"]
}
CLIP = "def clip(n):\n    if n > 3:\n        return 3\n    return n\n"
GOLDS: list[dict[str, Any]] = [
    {"prompt_id": "strong", "prompt": "Write clip(n).", **STRONG, "solution": CLIP},
    {"prompt_id": "weak", "prompt": "Write clip(n), at most 3.", "tests": ["clip(2)", "clip(5)"], "solution": CLIP},
    {"prompt_id": "script", "prompt": "Print n + 1.", "tests": [{"input": "1", "output": "2"}],
     "solution": "print(1 + int(input()))"},
    {"prompt_id": "unknown", "prompt": "Write unknown().", "tests": "assert unknown() == 1"},
    {"prompt_id": "dropped", "prompt": "Write dropped().", "tests": None},
]  # fmt: skip


def check(folder: Path, golds: list[dict], *args: str, **sections) -> tuple[int, str]:
    """What `datakit check` says of prompts with these golds."""
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in golds), encoding="utf-8")
    (folder / "r.jsonl").write_text(json.dumps({"prompt": "?", "model": "m", "text": "x"}) + "\n")
    recipe = {
        "domain": "code",
        "prompts": [{"type": "file", "path": "prompts.jsonl", "columns": {"reference": "tests"}}],
        "sources": [{"type": "responses", "path": "r.jsonl"}],
        **sections,
    }
    done = datakit("check", "--recipe", write_recipe(folder / "c.yaml", recipe), *args)
    assert "Traceback" not in done.stderr and done.stdout == ""
    return done.returncode, " ".join(done.stderr.split())


def test_check_passes_golds_and_names_one_that_fails_with_the_reason(tmp_path):
    status, said = check(tmp_path, GOLDS)
    assert status == 0 and "5 prompts, 3 with a gold answer, 1 dropped" in said and "all is well" in said
    assert "1 prompt dropped: no tests" in said
    wrong = {**GOLDS[0], "prompt_id": "wrong", "solution": CLIP.replace("> 3", "> 4")}
    astray = {**GOLDS[0], "prompt_id": "astray", "solution": "def clip(n):\n    return top"}
    lost = {**GOLDS[0], "prompt_id": "lost", "tests": ["import nosuchlib\nassert clip(1) == 1"]}
    positive = {**GOLDS[0], "prompt_id": "positive", "solution": CLIP.replace("return n", "return abs(n)")}
    status, said = check(tmp_path, [GOLDS[0], wrong, astray, lost, positive])
    assert status == 2 and "4 problems" in said and "prompt strong" not in said
    by = "by code@2: "
    assert f"prompt wrong: its gold answer is failed {by}" in said
    assert f"prompt astray: its gold answer is failed {by}static analysis: F821 undefined name 'top' (line 2)" in said
    assert (
        f"prompt lost: its gold answer is unverifiable {by}the tests need what is not here: No module named 'nosuchlib'" in said
    )
    assert f"prompt positive: its gold answer is failed {by}test 4 of 4: assert clip(-4) == -4: AssertionError" in said


def test_mutants_name_weak_tests_and_not_strong_ones(tmp_path):
    status, said = check(tmp_path, GOLDS, "--mutants")
    assert status == 2 and "1 problem" in said and "1 problems" not in said
    found = re.search(r"(\d+) mutants of 3 solutions, (\d+) of them caught by the tests", said)
    weak = re.search(r"prompt weak: weak tests: all (\d+) mutants of its solution pass \(line \d+: ", said)
    assert found and weak and int(found[1]) - int(found[2]) >= int(weak[1]) > 2, said
    assert "prompt strong" not in said and "prompt script" not in said


@pytest.mark.slow
def test_mutants_of_a_solution_that_goes_on_in_the_prompt_and_of_one_that_is_no_python(tmp_path):
    """HumanEval's canonical solutions are bodies; a broken gold is a problem, not an end of the check."""
    body = {**PROMPTS["last"], "prompt_id": "body", "solution": "    found = items[-1]\n    return found\n"}
    status, said = check(tmp_path, [body], "--mutants")
    found = re.search(r"(\d+) mutants of 1 solutions, (\d+) of them caught", said)
    assert status == 0 and found and found[1] == found[2] != "0", said
    status, said = check(tmp_path, [{**GOLDS[0], "solution": "def clip(n)\n    return"}], "--mutants")
    assert status == 2 and "prompt strong: its gold answer is failed by code@2: does not compile: SyntaxError" in said
    assert "0 mutants of 0 solutions" in said


NUMBERS = {**GOLDS[0], "tests": ["import nosuchlib.core as n", *STRONG["tests"]]}


def test_a_set_that_imports_what_is_not_listed_is_said_at_check_and_before_sampling(tmp_path):
    line = (
        "nosuchlib: imported by 2 of 3 prompts, and not in verify.libraries: answers to them cannot be verified. "
        "Install it here, and write verify: {libraries: [nosuchlib]}"
    )
    most = [{**NUMBERS, "prompt_id": name, "prompt": f"Write clip(n), {name}."} for name in ("one", "two")]
    assert line in check(tmp_path, [GOLDS[0], *most])[1]
    said = check(tmp_path, [*GOLDS[:2], *most])[1]
    assert "not in verify.libraries" not in said, "half of them is not most"
    rows = [{**row, "model": "m", "text": answer(CLIP)} for row in [GOLDS[0], *most]]
    (tmp_path / "responses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = {"type": "responses", "path": "responses.jsonl", "columns": {"reference": "tests"}}
    done = build(tmp_path, {"domain": "code", "sources": [source]}, "--until", "collect")
    assert done.returncode == 0 and line in " ".join(done.stderr.split()), done.stderr


def test_golds_that_fail_for_one_reason_are_said_once(tmp_path):
    fixture = {**GOLDS[0], "tests": "def test_clip(tmpdir):\n    assert clip(4) == 3\n"}
    said = check(tmp_path, [{**fixture, "prompt_id": "one"}, {**fixture, "prompt_id": "two"}, GOLDS[0]])[1]
    reason = "test_clip asks for the fixture tmpdir, which is not here"
    assert f"2 of 3 gold answers cannot be verified, all for one reason: {reason}" in said
    said = check(tmp_path, [fixture | {"prompt_id": "one"}, *GOLDS[:2]])[1]
    assert "all for one reason" not in said


def test_a_build_says_once_what_allow_unsafe_gives_up(tmp_path):
    recipe = write_answers(tmp_path)
    safe = build(tmp_path, recipe, "--until", "collect")
    unsafe = build(tmp_path, recipe | {"verify": {"allow_unsafe": True}}, "--until", "collect")
    said = " ".join(unsafe.stderr.split())
    assert safe.returncode == unsafe.returncode == 0 and "allow_unsafe" not in safe.stderr
    assert said.count("verify.allow_unsafe: where neither Landlock nor bubblewrap can confine programs") == 1


def test_tests_of_no_known_format_stop_a_build_before_anything_is_written(tmp_path):
    recipe = write_answers(
        tmp_path, {"add": {**PROMPTS["add"], "tests": {"given": [1], "wanted": [2]}}}, {"add": ANSWERS["add"]}
    )
    done = build(tmp_path, recipe)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2 and not (tmp_path / "run").exists()
    assert "line 1 (prompt_id add): its reference shows no format of tests that is known (seen: keys given, wanted)" in said


def packed(cases: list[dict[str, str]]) -> str:
    """Private tests as LiveCodeBench packs them."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


def published(name: str, kind: str, starter_code: str, metadata: dict[str, str], *cases: tuple[str, str]) -> dict[str, Any]:
    """A problem in the form that LiveCodeBench publishes: the first case is shown, the others are hidden and packed."""
    tests = [{"input": given, "output": wanted, "testtype": kind} for given, wanted in cases]
    return {
        **{"question_title": name, "question_content": f"Given two numbers, {name} them.", "platform": "leetcode"},
        **{"question_id": name, "contest_id": "weekly-1", "contest_date": "2024-01-01T00:00:00", "difficulty": "easy"},
        "starter_code": starter_code,
        "public_test_cases": json.dumps(tests[:1]),
        "private_test_cases": packed(tests[1:]),
        "metadata": json.dumps(metadata),
    }


def starter(name: str) -> str:
    return f"class Solution:\n    def {name}(self, a: int, b: int) -> int:\n        "


def called(name: str, *cases: tuple[str, str]) -> dict[str, Any]:
    return published(name, "functional", starter(name), {"func_name": name}, *cases)


PUBLISHED = [
    called("add", ("1\n2", "3"), ("2\n2", "4"), ("5\n-7", "-2")),
    published("multiply", "stdin", "", {}, ("2 2\n", "4\n"), ("3 5\n", "15\n")),
    called("subtract", ("3\n2", "1"), ("2\n3", "-1")),
]


def test_livecodebench_as_it_is_published(tmp_path):
    """Shown and hidden tests are one suite, and the prompt has its starter code: an answer to either half alone fails."""
    programs = [
        ("add", "class Solution:\n    def add(self, a, b):\n        return a + b", "passed"),
        ("add", "class Solution:\n    def add(self, a, b):\n        return 3", "failed"),  # what is shown
        ("add", "class Solution:\n    def add(self, a, b):\n        return a + b if a != 1 else 0", "failed"),  # what is hidden
        ("multiply", "a, b = map(int, input().split())\nprint(a * b)", "passed"),
        ("multiply", "a, b = map(int, input().split())\nprint(a + b)", "failed"),
        ("subtract", "class Solution:\n    def subtract(self, a, b):\n        return abs(a - b)", "failed"),
    ]
    (tmp_path / "lcb.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PUBLISHED), encoding="utf-8")
    rows = [
        {"prompt_id": name, "prompt": f"Given two numbers, {name} them.", "model": "m", "text": answer(program)}
        for name, program, _ in programs
    ]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = {
        "prompt_id": "question_id",
        "prompt": ["question_content", "starter_code"],
        "reference": ["public_test_cases", "private_test_cases"],
        "entry_point": "metadata",
    }
    recipe = {
        "domain": "code",
        "prompts": [{"type": "file", "path": "lcb.jsonl", "columns": columns}],
        "sources": [{"type": "responses", "path": "r.jsonl"}],
    }
    done = build(tmp_path, recipe, "--until", "verify")
    assert done.returncode == 0, done.stderr
    found = sorted(verdicts_of(tmp_path / "run"), key=lambda row: (row["prompt_id"], row["sample_index"]))
    assert [(row["prompt_id"], row["outcome"]) for row in found] == [(name, outcome) for name, _, outcome in programs], found
    (prompt, *_) = rows_of(tmp_path / "run", "SELECT * FROM prompts ORDER BY prompt_id")
    assert prompt["messages"][0]["content"] == f"Given two numbers, add them.\n\n{starter('add')}"
    assert (prompt["test_style"], prompt["entry_point"]) == ("livecodebench", "add")


MORE: list[dict[str, Any]] = [
    {"tests": {"inputs": [[4], [3], [2], [-4]], "outputs": [3, 3, 2, -4], "fn_name": "clip"}},
    {"tests": [{"input": f"{n}", "output": f"{min(n, 3)}", "testtype": "functional"} for n in (4, 3, 2, -4)],
     "entry_point": "clip"},
    {"tests": "def test_clip():\n    assert [clip(n) for n in (4, 3, 2, -4)] == [3, 3, 2, -4]\n"},
    {"tests": "import unittest\nclass T(unittest.TestCase):\n    def test_clip(self):\n"
     "        self.assertEqual([clip(n) for n in (4, 3, 2, -4)], [3, 3, 2, -4])\n"},
]  # fmt: skip


@pytest.mark.slow
def test_mutants_meet_every_format(tmp_path):
    weak = {"tests": "def test_clip():\n    clip(2)\n"}
    golds = [
        {**row, "prompt_id": str(at), "prompt": "Write clip(n).", "solution": CLIP} for at, row in enumerate([*MORE, weak])
    ]
    status, said = check(tmp_path, golds, "--mutants")
    assert status == 2 and "1 problem" in said and "1 problems" not in said and "prompt 4: weak tests: all " in said, said


@pytest.mark.parametrize(
    ("sections", "args", "said"),
    [
        ({"domain": "math"}, ["--mutants"], "--mutants: there are mutants of programs only, and this recipe's domain is math"),
        (
            {"domain": "math", "verify": {"libraries": ["numpy"]}},
            [],
            "verify.libraries is for domain code, this recipe's is math (got ['numpy'])",
        ),
        (
            {"domain": "math", "verify": {"allow_unsafe": True}},
            [],
            "verify.allow_unsafe is for domain code, this recipe's is math",
        ),
        ({"verify": {"percent": "strict"}}, [], "verify.percent is for domain math, this recipe's is code (got 'strict')"),
        ({"verify": {"libraries": ["os; import sys"]}}, [], "verify.libraries.0: "),
        ({"verify": {"libraries": ["nosuchlib"]}}, [], "verify.libraries: nosuchlib is not installed"),
        ({"verify": {"timeout_s": float("inf")}}, [], "verify.timeout_s: input should be a finite number (got inf)"),
        ({"verify": {"libraries": "numpy"}}, [], "verify.libraries: "),
    ],
)
def test_what_does_not_fit_is_refused_with_the_field(tmp_path, sections, args, said):
    status, told = check(tmp_path, GOLDS, *args, **sections)
    assert status == 2 and said in told, told


def test_a_misspelt_style_stops_a_build_before_anything_is_written(tmp_path):
    recipe = write_answers(tmp_path, {"add": {**PROMPTS["add"], "test_style": "assert"}}, {"add": ANSWERS["add"]})
    done = build(tmp_path, recipe)
    assert done.returncode == 2 and not (tmp_path / "run").exists()
    said = " ".join(done.stderr.split())
    assert (
        "responses.jsonl: line 1 (prompt_id add): test_style must be one of asserts, humaneval_check, stdin, solution_method, "
        in said
    )


# -------------------------------------------------------------------------------------------------------------- real data


def run_long(*args: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "400"}
    return subprocess.run([*DATAKIT, *map(str, args)], env=environment, capture_output=True, text=True, timeout=1800)


@pytest.mark.slow
@pytest.mark.parametrize(
    "every, rows, with_label, may_differ", [(3, 1749, 1741, 9), pytest.param(1, 5246, 5219, 18, marks=pytest.mark.long)]
)
def test_real_programs_of_sixteen_models_agree_with_their_labels(shared_data, tmp_path, every, rows, with_label, may_differ):
    """What is left are programs that the labels' own runs failed for reasons of their own; never a false alarm."""
    with gzip.open(shared_data / "responses" / "code.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = file.readlines()[::every]
    path = tmp_path / "code.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    columns = {"reference": "tests", "model": "source_model", "text": "response", "sample_index": "sample_idx"}
    recipe = {"domain": "code", "sources": [{"type": "responses", "path": str(path), "columns": columns}]}
    done = run_long("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    labels = {(row["prompt_id"], row["source_model"], row["sample_idx"]): row["label_passed"] for row in map(json.loads, lines)}
    found = verdicts_of(tmp_path / "run")
    assert len(found) == len(labels) == rows
    outcomes = {(row["prompt_id"], row["model"], row["sample_index"]): row for row in found}
    labelled = {key: label for key, label in labels.items() if label is not None}
    differing = [outcomes[key] for key, label in labelled.items() if (outcomes[key]["outcome"] == "passed") is not label]
    assert len(labelled) == with_label and len(differing) <= may_differ, differing
    stricter = [row for row in differing if row["outcome"] != "passed"]
    assert not stricter, stricter


@pytest.mark.slow
@pytest.mark.parametrize(("static", "refused"), [("fail", ["mbpp/218"]), ("warn", [])])
def test_gold_solutions_of_mbpp_pass_their_own_tests(shared_data, tmp_path, static, refused):
    """All 974; one of them reads a name that nothing defines, in a branch that no test reaches: static analysis says so."""
    path = shared_data / "prompts" / "mbpp.jsonl.gz"
    (tmp_path / "r.jsonl").write_text(json.dumps({"prompt": "?", "model": "m", "text": "x"}) + "\n")
    recipe = {
        "domain": "code",
        "prompts": [{"type": "file", "path": str(path), "columns": {"reference": "tests"}}],
        "sources": [{"type": "responses", "path": "r.jsonl"}],
        "verify": {"static": static},
    }
    done = run_long("check", "--recipe", write_recipe(tmp_path / "r.yaml", recipe))
    said = " ".join(done.stderr.split())
    assert "974 prompts, 974 with a gold answer, 0 dropped" in said
    assert re.findall(r"prompt (mbpp/\d+): its gold answer is ", said) == refused, done.stderr
