"""Shared fixtures: the real CLI in a process of its own, with no hub and a cache of its own."""

import os
import subprocess
import sys

import pytest

from tests.helpers import tiny_targets as tiny
from tests.helpers.folders import ROOT

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def hf_home(tmp_path_factory):
    return tmp_path_factory.mktemp("hf")


@pytest.fixture(autouse=True)
def no_network(hf_home, monkeypatch):
    """Nothing is fetched, and nothing lands in the user's own cache."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(hf_home))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(hf_home / "datasets"))


@pytest.fixture
def cli(tmp_path):
    """Run `train ...` in `tmp_path`; gives the finished process."""

    def run(*argv, timeout=240, code=None, launcher=("-m", "train.cli"), **env):
        start = [sys.executable, "-c", code] if code else [sys.executable, *launcher]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | env
        return subprocess.run(
            [*start, *map(str, argv)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=timeout
        )

    return run


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A tiny random target model."""
    return tiny.save_model(tmp_path_factory.mktemp("target"))


@pytest.fixture
def run_folder(tmp_path):
    """A run with both exports, at runs/my."""
    tiny.write_export(tmp_path / "runs/my/sft", "sft")
    tiny.write_export(tmp_path / "runs/my/dpo", "dpo")
    return tmp_path / "runs/my"
