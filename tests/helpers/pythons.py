"""Interpreters other than the one that runs the tests."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def python_of_the_system() -> str:
    """One that every user may read: started by root, its sandbox keeps no right to pass folders that are closed to others."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/opt/bin")
    if python is None or subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode:
        pytest.skip("no Python 3.11 or later of the system here")
    return python
