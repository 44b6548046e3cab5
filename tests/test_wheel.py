"""The wheel carries the recipes, the SQL and the micro models, not the scripts that made them, and works from any folder."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers.folders import ROOT


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


def test_what_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"datakit", "train"}
    assert not wheel.name.startswith("train")
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


def installed(site: Path, *args: object) -> subprocess.CompletedProcess[str]:
    """The command of a wheel that lies in this folder, away from this checkout."""
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from datakit.cli import main; main()"
    command = [sys.executable, "-I", "-c", script, site, *args]
    return subprocess.run(list(map(str, command)), cwd=site.parent, capture_output=True, text=True)


def test_the_embedded_default_works_from_any_folder(wheel, tmp_path):
    """Installed beside the packages that it needs; saved to a file, too."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    done = installed(site, "check", "--domain", "math", "--limit", "8")
    assert done.returncode == 0 and "8 prompts, 8 with a gold answer, 0 dropped" in done.stderr, done.stderr
    mine = tmp_path / "elsewhere" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text(installed(site, "recipe", "math").stdout)
    assert str(site / "datakit" / "_bundled" / "data" / "math" / "problems.jsonl") in mine.read_text()
    done = installed(site, "build", "--recipe", mine, "--limit", 2, "--until", "collect")
    assert done.returncode == 0, done.stderr
