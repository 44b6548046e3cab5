"""Measure and empty the working folder, which programs may fill with anything."""

from __future__ import annotations

import os


def usage(folder: str, enough: int) -> tuple[int, int]:
    """Return the numbers of files and bytes below a folder; counting stops at `enough`."""
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
        except FileNotFoundError:  # removed meanwhile
            continue
        except OSError:  # too deep, or unreadable for its owner: no program needs that
            return enough + 1, n_bytes
    return n_files, n_bytes


def empty(folder: str) -> None:
    """Remove everything in a folder. Deep folders are moved up first, so that no path gets too long and nothing recurses."""
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
