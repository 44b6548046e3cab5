"""A command that is forked, beside one that is started."""

from __future__ import annotations

import os
import signal

import pytest

from tests.helpers.command import datakit_process
from tests.helpers.forked import Forked, forked


@pytest.mark.parametrize("argv", [["recipe", "math"], ["inspect", "no run"]], ids=["done", "refused"])
def test_it_says_the_same_and_ends_the_same(tmp_path, argv):
    env = {"SOMETHING": "of its own"}
    ours, theirs = forked(*argv, cwd=tmp_path, env=env), datakit_process(*argv, cwd=tmp_path, env=env)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert ours.stdout or ours.stderr


def test_it_is_a_process_of_its_own_with_folder_and_environment(tmp_path):
    shown = "import os; print(os.getpid(), os.getcwd(), os.environ['MINE'], flush=True); raise SystemExit(7)"
    with Forked(first=shown, cwd=tmp_path, env={"MINE": "yes"}) as process:
        assert process.stdout.readline() == f"{process.pid} {tmp_path} yes\n" and process.pid != os.getpid()
        assert process.wait() == process.poll() == process.returncode == 7
    assert "MINE" not in os.environ


def test_signals_end_it_and_so_does_a_time_that_is_up():
    waiting = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_DFL); print('ready', flush=True); time.sleep(60)"
    with Forked(first=waiting) as process:
        process.stdout.readline()
        assert process.poll() is None
        process.terminate()
        assert process.wait() == -signal.SIGTERM
    with Forked(first=waiting) as process:
        assert process.wait(timeout=0.1) == -signal.SIGKILL
