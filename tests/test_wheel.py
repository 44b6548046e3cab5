"""The wheel carries the recipes, the SQL and the micro models, not the scripts that made them, and works from any folder."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers.folders import ROOT

pytestmark = pytest.mark.slow


def build(target: str, out: Path) -> Path:
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", out], cwd=ROOT, check=True, capture_output=True
    )
    return next(out.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("dist"))


def test_the_scripts_that_made_the_micro_models_are_in_the_sdist(tmp_path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    scripts = {path.relative_to(ROOT).as_posix() for path in (ROOT / "data" / "micro" / "making").glob("*.py")}
    assert len(scripts) > 10 and scripts <= names
    examples = {path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").rglob("*") if path.is_file()}
    assert len(examples) > 10 and {*examples, "mkdocs.yml", "docs/making/links.py", "CITATION.cff", "LICENSE"} <= names


def test_what_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"datakit", "train"}
    assert not wheel.name.startswith("train")
    about = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    assert "License-Expression: Apache-2.0" in zipfile.ZipFile(wheel).read(f"{about}/METADATA").decode()
    assert zipfile.ZipFile(wheel).read(f"{about}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    for path in [*(ROOT / "datakit" / "sql").rglob("*.sql"), *(ROOT / "recipes").rglob("*.yaml")]:
        inside = path.relative_to(ROOT).as_posix()
        assert inside in names or f"datakit/_bundled/{inside}" in names, inside
    for model in ("llama", "qwen2", "mistral", "gemma2", "target", "reward"):
        assert f"datakit/_bundled/data/micro/{model}/model.safetensors" in names
    assert not [name for name in names if "/data/" in name and (name.endswith(".py") or "making" in name)]
    sizes = {info.filename: info.file_size for info in zipfile.ZipFile(wheel).infolist() if "/data/" in info.filename}
    for_code, for_fusion = (
        sum(size for name, size in sizes.items() if f"/micro/{what}" in name or f"/data/{what}/" in name)
        for what in ("code", "fusion")
    )
    assert for_code < 10_000_000 and for_fusion < 5_000_000 and sum(sizes.values()) - for_code - for_fusion < 11_000_000
    assert sum(size for name, size in sizes.items() if "/data/micro/" in name) < 24_000_000


INSTALLED = """
import json, sys
from contextlib import redirect_stdout
sys.path.insert(0, sys.argv[1])
from datakit.cli import main
for argv, out in json.loads(sys.argv[2]):
    with open(out, "w") as file, redirect_stdout(file):
        try:
            main(argv)
        except SystemExit as end:
            print(argv[0], end.code, file=sys.stderr)
"""


def test_the_embedded_default_works_from_any_folder(wheel, tmp_path):
    """Installed beside the packages that it needs, away from this checkout; saved to a file, too."""
    site, mine = tmp_path / "site", tmp_path / "elsewhere" / "mine.yaml"
    zipfile.ZipFile(wheel).extractall(site)
    mine.parent.mkdir()
    commands = [
        (["check", "--domain", "math", "--limit", "8"], "/dev/null"),
        (["recipe", "math"], str(mine)),
        (["build", "--recipe", str(mine), "--limit", "2", "--until", "collect"], "/dev/null"),
    ]
    command = [sys.executable, "-I", "-c", INSTALLED, str(site), json.dumps(commands)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "8 prompts, 8 with a gold answer, 0 dropped" in done.stderr, done.stderr
    assert [line for line in done.stderr.splitlines() if line in ("check 0", "recipe 0", "build 0")] == [
        "check 0", "recipe 0", "build 0"
    ], done.stderr  # fmt: skip
    assert str(site / "datakit" / "_bundled" / "data" / "math" / "problems.jsonl") in mine.read_text()
