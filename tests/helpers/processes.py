"""What runs for a model: found, waited for, and seen to end."""

from __future__ import annotations

import time
from pathlib import Path

import psutil


def processes_of(model: Path) -> list[psutil.Process]:
    """Everything that belongs to servers of this model, guards too: what was started with it, and their descendants."""
    found = set()
    for process in psutil.process_iter():
        try:
            if str(model) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found |= {process, *process.children(recursive=True)}
        except psutil.Error:
            continue
    return sorted(found, key=lambda process: process.create_time())


def servers_of(model: Path) -> list[psutil.Process]:
    """The servers themselves: those that a guard started (it may have adopted workers of theirs)."""
    return [process for process in processes_of(model) if started_by_guard(process, model)]


def started_by_guard(process: psutil.Process, model: Path) -> bool:
    try:
        parent = process.parent()
        return parent is not None and is_guard(parent) and str(model) in process.cmdline()
    except psutil.Error:
        return False


def is_guard(process: psutil.Process) -> bool:
    return any(word.endswith("serving/guard.py") for word in process.cmdline())


def gone(processes: list[psutil.Process], seconds: float = 15.0) -> bool:
    """Whether they end in time; what nobody has waited for yet has ended too."""
    until = time.monotonic() + seconds
    while any(lives(process) for process in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
