"""Find what can confine programs on this machine, by running hostile snippets, never by checking versions.

    landlock     Landlock and seccomp of the Linux kernel (5.13 and later): nothing to install, no privileges needed
    bubblewrap   bwrap with its own namespaces, and seccomp: if the kernel has no Landlock
    none         limits on resources and separate processes only; programs can read, write and reach what their user can

macOS and other systems have only `none`, with limits on CPU time and files.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from datakit.sandbox.inside.settings import Settings

TIERS = ("landlock", "bubblewrap")
WORK = "/sandbox-work"  # the working folder inside bubblewrap
_PACKAGES = ("purelib", "platlib")
_ROOT = Path(__file__).parents[2]
_START = (
    "import sys, json; sys.path.insert(0, sys.argv[1]); from datakit.sandbox.inside.settings import Settings; "
    "from datakit.sandbox.inside.zygote import main; main(Settings(**json.loads(sys.argv[2])))"
)


def command(settings: Settings) -> list[str]:
    """Return the command that starts the warm process."""
    python = os.path.realpath(sys.executable)  # the interpreter behind a virtual environment: no site-packages
    start = [python, "-s", "-S", "-c", _START, str(_ROOT), json.dumps(asdict(settings))]
    return _bubblewrap(settings) + start if settings.tier == "bubblewrap" else start


def _bubblewrap(settings: Settings) -> list[str]:
    """Return the bwrap command: new namespaces, the interpreter and the libraries read-only, and a small file system for
    work."""
    here = Path(__file__).parent
    system = ["/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", sys.base_prefix]
    base = [sysconfig.get_path(name, vars={"base": sys.base_prefix, "platbase": sys.base_prefix}) for name in _PACKAGES]
    emptied = [path for path in dict.fromkeys(base) if Path(path).is_dir()]
    masks = [part for path in emptied for part in ("--tmpfs", path)]
    shut = [part for path in emptied for part in ("--remount-ro", path)]
    # datakit's and the libraries' files last: they may be in a folder that was replaced by an empty one.
    ours = [str(here), str(here.parent / "__init__.py"), *settings.packages]
    before, after = ([part for path in paths for part in ("--ro-bind-try", path, path)] for paths in (system, ours))
    size = str(settings.files_mb << 20)
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session"),
        *("--dev-bind", "/dev/null", "/dev/null", "--ro-bind", "/dev/urandom", "/dev/urandom"),
        *(*before, *masks, *after, *shut, "--size", size, "--tmpfs", WORK, "--remount-ro", "/", "--chdir", "/", "--"),
    ]


def environment() -> dict[str, str]:
    """Return the warm process's whole environment: no secrets, one thread per library, and a fixed hash seed."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")}
    found = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**threads, **found, "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def library_paths(packages: Sequence[str]) -> list[str]:
    """Return this environment's folders, and those of packages elsewhere (of the system, of the user), in search order."""
    folders = {*(Path(sysconfig.get_path(name)).resolve() for name in _PACKAGES), *(Path(path).parent for path in packages)}
    return [str(path) for path in dict.fromkeys(Path(path).resolve() for path in sys.path) if path in folders]


def missing_libraries(names: Sequence[str]) -> list[str]:
    """Return the libraries that this environment lacks, which no tier is to blame for."""
    return [name for name in names if importlib.util.find_spec(name.partition(".")[0]) is None]


UNSAFE = (
    "verify.allow_unsafe: model-written programs run here without a sandbox, with limits on processor time, memory and files "
    "only: they can read, change and send away whatever this user can, and reach their tests and the verdicts of others"
)
"""The warning of a build that continues without a tier, given once."""


def advice(trouble: dict[str, str]) -> str:
    """Return the message if no tier holds: what was tried, and what to install."""
    if sys.platform != "linux":
        how = (
            f"there is no sandbox for {sys.platform}: build on Linux (a container will do), or set verify.allow_unsafe: true, "
            "which runs model-written programs with limits on CPU time and files only: they can read and write what you can"
        )
    else:
        how = (
            "use a kernel with Landlock (5.13 or later, lsm=landlock,...), or install bubblewrap (apt-get install bubblewrap); "
            "in a container allow Landlock's system calls. verify.allow_unsafe: true runs programs without protection"
        )
    found = "; ".join(f"{tier}: {why}" for tier, why in trouble.items())
    return f"nothing here can confine model-written programs ({found}). Next step: {how}"


ATTEMPTS = """
import errno, os, socket

def refused(action, by=None):
    try:
        action()
    except OSError as error:
        return by is None or error.errno in by
    return False

def attempts():
    found = {
        "fork": refused(os.fork),
        "signal": refused(lambda: os.kill(os.getppid(), 0)),
        "connect": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
        "read": refused(lambda: open(OUTSIDE).read()),
        "write": refused(lambda: open(OUTSIDE, "a")),
        "list": refused(lambda: os.listdir(os.path.dirname(OUTSIDE))),
        "execute": refused(lambda: os.execv("/nothing/here", ["nothing"]), by=(errno.EPERM, errno.EACCES)),
    }
    return sorted(name for name, was_refused in found.items() if not was_refused)
"""
NOTHING_THROUGH = "through = attempts()\nassert through == [], f'it lets through: {through}'"
