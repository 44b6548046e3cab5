"""What programs may import, wherever Python, datakit and the libraries lie: a virtual environment is only one of many."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.folders import ROOT
from tests.helpers.pythons import python_of_the_system

if sys.platform != "linux":
    pytest.skip("the sandbox's tiers are of Linux", allow_module_level=True)

from datakit.sandbox.inside.confine import landlock_abi

if not landlock_abi():
    pytest.skip("Landlock is not on this machine", allow_module_level=True)

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
ASKED = """
import json, sys
from datakit.sandbox.runner import Sandbox
programs, libraries = map(json.loads, sys.argv[1:3])
with Sandbox(libraries, tier="landlock") as sandbox:
    done = [sandbox.check(program, "assert f(1) == 1", "asserts") for program in programs]
print(json.dumps([f"{one.outcome}: {one.detail}" for one in done]))
"""
IMPORTS = "from {}.late import same as f"
READS = "open({!r}).read()\ndef f(n): return n"
PASSED = "passed: 1 test"


def told(python: Path, programs: list[str], *libraries: str, **environment: str) -> list[str]:
    """What becomes of programs in a sandbox with these libraries."""
    command = [str(python), "-c", ASKED, json.dumps(programs), json.dumps(libraries)]
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def install(packages: Path, *names: str) -> Path:
    """Libraries, each with a module that nothing imports before a program does; with datakit's sandbox where that is named."""
    packages.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name == "datakit":
            (packages / name).symlink_to(ROOT / name)
            continue
        (packages / f"{name}-1.dist-info").mkdir()
        (packages / f"{name}-1.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (packages / f"{name}-1.dist-info" / "RECORD").write_text(f"{name}/__init__.py,,\n{name}/late.py,,\n")
        (packages / name).mkdir()
        (packages / name / "__init__.py").touch()
        (packages / name / "late.py").write_text("def same(n): return n\n")
    return packages


def asked_of(python: Path, expression: str, **environment: str) -> Path:
    command = [str(python), "-c", f"import site, sysconfig; print({expression})"]
    return Path(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """An interpreter with a standard library of its own, as in a container or of conda: datakit lies in its site-packages."""
    home = tmp_path_factory.mktemp("python")
    library = home / "lib" / VERSION
    library.mkdir(parents=True)
    for entry in Path(os.__file__).parent.iterdir():
        if entry.name not in ("site-packages", "dist-packages"):
            (library / entry.name).symlink_to(entry)
    python = home / "bin" / VERSION
    python.parent.mkdir()
    shutil.copy(os.path.realpath(sys.executable), python)
    install(asked_of(python, "sysconfig.get_path('purelib')"), "datakit", "kit", "other")
    return python


def test_without_a_virtual_environment_only_listed_libraries_are_there(bare):
    """A library that is not listed is missing, wherever it lies: the program could not be judged, and has not failed."""
    packages = asked_of(bare, "sysconfig.get_path('purelib')")
    assert "other, which is not in verify.libraries" in told(bare, [IMPORTS.format("other")])[0]
    files = [READS.format(str(packages / path)) for path in ("other/late.py", "datakit/errors.py")]
    found = told(bare, [IMPORTS.format("kit"), IMPORTS.format("other"), *files], "kit")
    assert found[0] == PASSED and found[1].startswith("unverifiable: "), found
    assert ["Permission denied" in one for one in found[2:]] == [True, True], found


@pytest.mark.parametrize("whose", ["the system's", pytest.param("the user's", marks=pytest.mark.slow)])
def test_a_library_may_lie_outside_of_the_environment_that_runs(whose, bare, tmp_path):
    python, environment = bare, {"PYTHONUSERBASE": str(tmp_path / "user")}
    if whose == "the user's":
        install(asked_of(bare, "site.getusersitepackages()", **environment), "mine")
    else:
        python = tmp_path / "environment" / "bin" / "python"
        command = [bare, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "environment"]
        subprocess.run(command, check=True)
    listed = "mine" if whose == "the user's" else "kit"
    found = told(python, [IMPORTS.format(listed), IMPORTS.format("other")], listed, **environment)
    assert found[0] == PASSED and found[1].startswith("unverifiable: "), found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user for its programs")
def test_root_may_keep_its_libraries_where_no_other_user_can_look(tmp_path):
    """Programs import parts of a library that the warm process has not imported; others stay closed to them."""
    tmp_path.chmod(0o700)
    subprocess.run([python_of_the_system(), "-m", "venv", "--without-pip", tmp_path], check=True)
    packages = install(next(tmp_path.glob("lib/python*/site-packages")), "datakit", "kit", "other")
    reads = READS.format(str(packages / "other" / "late.py"))
    found = told(tmp_path / "bin" / "python", [IMPORTS.format("kit"), IMPORTS.format("other"), reads], "kit")
    assert found[0] == PASSED and "other, which is not in verify.libraries" in found[1] and "Permission denied" in found[2], (
        found
    )
