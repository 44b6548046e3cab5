"""What this process may use of the machine: cores, open files, memory; and an environment without secrets."""

from __future__ import annotations

import gc
import getpass
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SECRETS = ("_KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD")


def available_cores() -> int:
    """Return how many cores this process may use; a container or a scheduler may allow fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def user_name() -> str:
    """Return the name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        return f"user {os.getuid()}"


def has_gpu() -> bool:
    """Return True if there is a device of an NVIDIA or AMD driver, without loading a library that uses it."""
    return any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd"))


def environment_without_secrets() -> dict[str, str]:
    """Return this process's environment for a child that does not need its keys."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("TOKENIZERS_") or not any(word in name.upper() for word in _SECRETS)
    }


def limit_memory(megabytes: int) -> None:
    """Limit this process's address space to this many MB, if the platform can (macOS refuses)."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20, megabytes * 2**20))


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Look for reference cycles rarely: for work with many objects and no cycles, the default costs a tenth of the time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def many_open_files() -> Iterator[None]:
    """Raise the limit of open files to the hard limit: the usual 1,024 is too low for the connections of a few replicas."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
