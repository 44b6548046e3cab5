"""What ruff says of programs: its rules, and that no program can take a batch down."""

import subprocess
from pathlib import Path

import pytest

from datakit.domains.code.static import analyse

NESTED = "x = " + "-" * 100_000 + "1\n"
UNDEFINED = "def f(x):\n    return reduce(x)\n"


@pytest.mark.parametrize(
    ("program", "finding"),
    [
        (UNDEFINED, "F821 undefined name 'reduce' (line 2)"),
        ("__all__ = ['a']\n", "F822 undefined name 'a' in '__all__' (line 1)"),
        ("x = 1\ndef f():\n    print(x)\n    x = 2\n", "F823 local variable 'x' "),
        ("assert (1, 'always')\n", "F631 "),
        ("if (1, 2):\n    pass\n", "F634 "),
        ("return 1\n", "F706 "),
        ("yield 1\n", "F704 "),
        ("try:\n    pass\nexcept:\n    pass\nexcept ValueError:\n    pass\n", "F707 "),
        ("def f(x):\n    return f'{y} {x}'\n", "F821 undefined name 'y' (line 2)"),
    ],
)
def test_findings(program, finding):
    (found,) = analyse([program])
    assert found is not None
    assert found.startswith(finding)


@pytest.mark.parametrize(
    "program",
    [
        "",
        "def f(x):\n    return x\n",
        "import os\nl = 1\nx = None == l\n",  # other rules
        "def f(x:\n    return reduce(x\n",  # syntax is judged by compile()
        "def f(x: 'a list of numbers', y: 'Node') -> 'Optional[Node]':\n    return x\n",  # nobody evaluates these
        "def f(x):\n    return x is 'a'\n",  # a warning of Python's
        "from math import *\nx = sqrt(2)\n",
        "x = '\ud800'\n",
        "\0",
    ],
)
def test_nothing_is_found(program):
    assert analyse([program]) == [None]


def test_noqa_does_not_help():
    assert analyse(["# ruff: noqa\n# flake8: noqa\ny  # noqa\n"]) == ["F821 undefined name 'y' (line 3)"]


def test_settings_nearby_have_no_influence(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.ruff.lint]\nignore = ["F821"]\n')
    (tmp_path / ".gitignore").write_text("*.py\n")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert analyse([UNDEFINED]) == ["F821 undefined name 'reduce' (line 2)"]


def test_a_crash_takes_one_program():
    programs = [UNDEFINED if n % 2 else "x = 1\n" for n in range(16)]
    programs[5] = NESTED
    expected = ["F821 undefined name 'reduce' (line 2)" if n % 2 else None for n in range(16)]
    expected[5] = None
    assert analyse(programs) == expected


def test_a_slow_program_takes_one(monkeypatch):
    run = subprocess.run

    def slow(command, **options):
        if any("slow" in path.read_text() for path in Path(options["cwd"]).iterdir()):
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", slow)
    assert analyse([UNDEFINED, "# slow\ny\n", "z\n"]) == [
        "F821 undefined name 'reduce' (line 2)",
        None,
        "F821 undefined name 'z' (line 1)",
    ]


def test_order_and_number_are_kept():
    programs = [f"x{n}\n" if n % 3 else "\ud800" for n in range(12)]
    assert analyse(programs) == [f"F821 undefined name 'x{n}' (line 1)" if n % 3 else None for n in range(12)]
    assert analyse([]) == []
