"""The wheel carries the recipes, the SQL and the micro models, and works from any folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers.folders import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], cwd=ROOT, check=True, capture_output=True
    )
    return next(out.glob("*.whl"))


def test_what_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"datakit", "train"}
    assert not wheel.name.startswith("train")
    for path in [*(ROOT / "datakit" / "sql").glob("*.sql"), *(ROOT / "recipes").rglob("*.yaml")]:
        inside = path.relative_to(ROOT).as_posix()
        assert inside in names or f"datakit/_bundled/{inside}" in names, inside
    for model in ("llama", "qwen2", "mistral", "gemma2", "target", "reward"):
        assert f"datakit/_bundled/data/micro/{model}/model.safetensors" in names
    sizes = {info.filename: info.file_size for info in zipfile.ZipFile(wheel).infolist() if "/data/" in info.filename}
    for_code = sum(size for name, size in sizes.items() if "/micro/code" in name or "/data/code/" in name)
    assert for_code < 10_000_000 and sum(sizes.values()) - for_code < 10_000_000


def test_the_embedded_default_works_from_any_folder(wheel, tmp_path):
    """Installed beside the packages that it needs, away from this checkout."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from datakit.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(site), "check", "--domain", "math", "--limit", "8"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "8 prompts, 8 with a gold answer, 0 dropped" in done.stderr, done.stderr
