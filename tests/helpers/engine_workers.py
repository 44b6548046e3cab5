"""Workers for test_engine.py: in a module of their own, so that a worker process does not import the test tools."""

import ctypes
import os
import re
import signal
import time

from datakit.errors import BadInput


def do(row):
    """What the workers below do with one row: `do` says which way it goes."""
    match row.get("do"):
        case "sleep":
            time.sleep(row["s"])
        case "busy in C":
            re.match("(a+)+b", "a" * 60)
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill parent":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        case "raise":
            raise ValueError("bad row")
        case "unpicklable":
            return {"out": lambda: None}
        case "pipe":
            raise BrokenPipeError("of its own")
        case "print":
            print("not for stdout")
        case "environment":
            return {"out": sorted(os.environ)}
    return {"out": row["x"] * 2}


def start():
    return lambda rows: (do(row) for row in rows)


def start_slowly(s):
    time.sleep(s)
    return start()


def start_noting(file):
    with file.open("a") as starts:
        starts.write("+")
    return start()


def noting(folder, begin):
    """A start whose workers leave a file in the folder when they get rows."""
    worker = begin()

    def noted(rows):
        (folder / str(os.getpid())).touch()
        yield from worker(rows)

    return noted


def start_short():
    return lambda rows: [do(row) for row in rows[:2]]


def start_refuses():
    raise BadInput("model folder not found: /nowhere")


def start_breaks():
    raise ZeroDivisionError("one by none")


def start_dies():
    os._exit(9)
