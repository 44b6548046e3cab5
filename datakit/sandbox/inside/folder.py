"""The working folder of programs that may fill it with anything: how much lies in it, and how it is emptied."""

from __future__ import annotations

import os


def usage(folder: str, enough: int) -> tuple[int, int]:
    """How many files and bytes are below a folder, counted until there are enough."""
    n_files = n_bytes = 0
    folders = [folder]
    while folders and n_files <= enough:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    n_files += 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        n_bytes += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:  # gone meanwhile
            continue
        except OSError:  # too deep to look at, or closed to its owner: nothing that a program needs
            return enough + 1, n_bytes
    return n_files, n_bytes


def empty(folder: str) -> None:
    """Remove all that is in a folder. What is deep is moved up first: no path gets too long, nothing recurses."""
    moved = 0
    while entries := [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in os.scandir(folder)]:
        for name, is_folder in entries:
            path = f"{folder}/{name}"
            if not is_folder:
                os.unlink(path)  # noqa: PTH108
                continue
            os.chmod(path, 0o700)  # noqa: PTH101 - a program may make a folder that it cannot read
            for inner, is_folder in [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in os.scandir(path)]:
                if is_folder:
                    os.chmod(f"{path}/{inner}", 0o700)  # noqa: PTH101
                os.rename(f"{path}/{inner}", f"{folder}/\x01{moved}")  # noqa: PTH104
                moved += 1
            os.rmdir(path)  # noqa: PTH106
