"""Hostile programs in the sandbox: no false pass, nothing touched outside, nothing left behind, the next program unharmed."""

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.folders import ROOT

if sys.platform != "linux":
    pytest.skip("the sandbox's tiers are of Linux", allow_module_level=True)

from datakit.sandbox.inside.confine import landlock_abi
from datakit.sandbox.runner import Limits, Sandbox
from tests.helpers.hostile import CASES, Case
from tests.helpers.surroundings import (
    LITTLE_S,
    MEMORY_MB,
    TIMEOUT_S,
    Surroundings,
    complaints,
    descendants,
    memory_mb,
    open_descriptors,
)

NOBODY = 65534
ALL_S = 500  # what the whole table may take as nobody


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    tmp_path_factory.getbasetemp()  # before the folder for temporary files is another one for a while
    with Surroundings(ROOT) as surroundings:
        yield surroundings


@pytest.fixture(scope="module")
def sandbox(around):
    """One sandbox for all cases, in the best tier of this machine."""
    if not landlock_abi() and shutil.which("bwrap") is None:
        pytest.skip("nothing on this machine can confine a program: no Landlock in the kernel, no bubblewrap")
    with Sandbox(limits=Limits(timeout_s=TIMEOUT_S, memory_mb=MEMORY_MB)) as sandbox:
        assert sandbox.check("def f(n): return n\n", "assert f(1) == 1\n", style="asserts", entry_point="f").outcome == "passed"
        yield sandbox


@pytest.fixture(scope="module")
def hasty(sandbox):
    """One more for the programs that would run for ever."""
    with Sandbox(limits=Limits(timeout_s=LITTLE_S, memory_mb=MEMORY_MB)) as hasty:
        yield hasty


ENDLESS = ("hurting the tester",)
"""Kinds whose rows run until their time is over, too."""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow if case.to_limit or case.kind in ENDLESS else (), id=case.name)
        for case in CASES
    ],
)
def test_hostile(sandbox, hasty, around, case: Case):
    assert complaints(hasty if case.to_limit else sandbox, around, case) == []


def test_nothing_is_left_when_the_sandbox_is_closed(sandbox, around):
    before, running = around.state(), descendants()
    with Sandbox(limits=Limits(timeout_s=LITTLE_S, memory_mb=MEMORY_MB)) as sandbox:
        for program in ("import os\nos._exit(0)\n", "open('x', 'w').write('x')\ndef f(n): return 0\n", "while True: pass\n"):
            assert sandbox.check(program, "assert f(1) == 1\n", style="asserts", entry_point="f").outcome in (
                "failed",
                "timeout",
            )
    assert around.state() == before
    assert descendants() == running


def test_the_harness_stays_small(hasty):
    """Floods of output, of answers and of files are not kept by the side that asks; descriptors are not lost."""
    held, used = open_descriptors(), memory_mb()
    for program in (
        "def f(n):\n    while True: print('x' * 10**6)\n",
        "def f(n): return 'x' * 10**8\n",
        "def f(n): return 0\n",
    ) * 2:
        assert hasty.check(program, "assert f(1) == 1\n", style="asserts", entry_point="f").outcome in ("failed", "timeout")
    assert open_descriptors() <= held
    assert memory_mb() < used + 100


NAIVE = """
import json, sys
program, tests, style, entry = json.loads(sys.argv[1])
names = {"__name__": "solution"}
exec(program, names)
exec(tests, names)
if style == "humaneval_check":
    names["check"](names[entry])
"""
OPEN = """
import sys
names = {"__name__": "solution"}
exec(sys.argv[1], names)
print(names["f"]())
"""


@pytest.mark.slow  # it is about the table, which seldom changes
@pytest.mark.parametrize("case", [case for case in CASES if case.control == "naive"], ids=lambda case: case.name)
def test_the_lie_fools_a_checker_in_one_process(tmp_path, case: Case):
    """So that the table is about tricks that work: exit status 0 of program and tests together is a pass there."""
    told = json.dumps([case.program, case.tests, case.style, case.entry_point])
    done = subprocess.run([sys.executable, "-c", NAIVE, told], cwd=tmp_path, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.control == "open"], ids=lambda case: case.name)
def test_the_deed_works_without_a_sandbox(tmp_path, case: Case):
    with Surroundings(ROOT) as around:
        done = subprocess.run(
            [sys.executable, "-c", OPEN, around.fill(case.program)], cwd=tmp_path, capture_output=True, text=True, timeout=20
        )
        changed = around.victim.poll() is not None
    assert "ESCAPED" in done.stdout or changed, done.stdout + done.stderr


MANY = "for i in range(200): open(f'x{i}', 'w').close()"
MUCH = "for i in range(4): open(f'x{i}', 'wb').write(b'x' * (4 << 20))"
DEEP = "for _ in range(20):\n    os.mkdir('d' * 250)\n    os.chdir('d' * 250)\n"
CLOSED = "os.mkdir('d', 0o300)\nos.chdir('d')\n"


@pytest.mark.parametrize("where", ["", DEEP, CLOSED], ids=["plain", "below-long-names", "in-a-closed-folder"])
@pytest.mark.parametrize("what", [MANY, MUCH], ids=["many", "much"])
def test_files_count_wherever_they_lie(around, where, what):
    """The program is right, and fails for its files alone."""
    program = f"import os, time\n{where}{what}\ntime.sleep(0.4)\ndef f(n): return n\n"
    with Sandbox(limits=Limits(timeout_s=10, memory_mb=MEMORY_MB, n_files=50, files_mb=8)) as sandbox:
        done = sandbox.check(program, "assert f(1) == 1\n", style="asserts", entry_point="f")
    assert done.outcome == "failed"
    assert "over 50 files" in done.detail or "over 8 MB of files" in done.detail


def descriptors_of_programs():
    """What a function's process and a script's have open."""
    with Sandbox(limits=Limits(timeout_s=10, memory_mb=MEMORY_MB)) as sandbox:
        done = sandbox.check(OPEN_ONES, "raise ValueError(str(f()))\n", style="asserts", entry_point="f")
        script = sandbox.check(OPEN_ONES + "print(f())\n", '[{"input": "", "output": ""}]', style="stdin")
    return [re.findall(r"\[([\d, ]+)\]", one.detail)[-1] for one in (done, script)]


def test_a_caller_with_many_open_files(around):
    """A program has its three streams and its channel, whatever numbers the caller's descriptors have."""
    quiet = descriptors_of_programs()
    assert all(len(found.split(", ")) <= 4 for found in quiet)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(700):
            stack.enter_context(open(os.devnull))  # noqa: PTH123
        assert descriptors_of_programs() == quiet


OPEN_ONES = """
import os
def f():
    found = []
    for fd in range(5000):
        try: os.fstat(fd)
        except OSError: continue
        found.append(fd)
    return found
"""


def readable_python(folder: Path) -> Path:
    """An interpreter that every user can start: the one below this environment, without packages and tests."""
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    left_out = shutil.ignore_patterns(
        "site-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip", "tkinter", "config-*", "__pycache__"
    )
    shutil.copytree(base / "lib" / version, folder / "lib" / version, ignore=left_out, symlinks=True)
    for library in (base / "lib").glob("libpython*"):
        shutil.copy2(library, folder / "lib" / library.name, follow_symlinks=False)
    (folder / "bin").mkdir()
    shutil.copy2(Path(sys.executable).resolve(), folder / "bin" / version)
    return folder / "bin" / version


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="already without rights: all the tests above ran so")
def test_the_whole_table_as_a_user_without_rights(tmp_path_factory):
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    folder.chmod(0o755)
    try:
        python = readable_python(folder / "python")
        (folder / "project" / "datakit").mkdir(parents=True)
        for name in ("__init__.py", "errors.py"):
            shutil.copy2(ROOT / "datakit" / name, folder / "project" / "datakit" / name)
        shutil.copytree(ROOT / "datakit" / "sandbox", folder / "project" / "datakit" / "sandbox")
        helpers = folder / "project" / "tests" / "helpers"
        helpers.mkdir(parents=True)
        for name in ("__init__.py", "hostile.py", "surroundings.py"):
            shutil.copy2(ROOT / "tests" / "helpers" / name, helpers / name)
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
        done = subprocess.run(
            [str(python), "-s", "-S", "-m", "tests.helpers.surroundings", str(folder / "project")],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/tmp",
            timeout=ALL_S,
            env={
                **{"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
                "PYTHONPATH": str(folder / "project"),
                "LD_LIBRARY_PATH": str(folder / "python" / "lib"),  # not the system's Python of another version
            },
            capture_output=True,
            text=True,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["user"] == NOBODY
    wrong = [f"{name}: {one}" for name, found in report["complaints"].items() for one in found]
    assert not wrong, "\n".join(wrong)
    assert len(report["complaints"]) == len(CASES)
