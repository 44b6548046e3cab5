"""Take from a fork, before it reads a line of untrusted code: privileges, files, system calls, resources.

Landlock (man 7 landlock) leaves it its working folder and the libraries that it may read, no TCP, no signals to others.
seccomp (man 2 seccomp) blocks what Landlock does not cover: new processes and programs, sockets, other processes' memory,
modes, owners and times of files, kernel objects that outlive a process. Both hold for root too, and cannot be undone.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 8, 22, 38
_PR_SET_CHILD_SUBREAPER = 36
_SIGKILL = 9
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION = 0x20080522
_READ_ANY_FILE = 1 << 2  # CAP_DAC_READ_SEARCH: for an interpreter below root's home; Landlock limits the files


_LIBC = ctypes.CDLL(None, use_errno=True)


def _checked(status: int, what: str) -> int:
    if status < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return status


# ------------------------------------------------------------------------------------------------------------- resources


_MB = 1 << 20
_N_THREADS = 64
_ALIKE = {
    "FSIZE": 16 * _MB,
    "NOFILE": 64,
    "CORE": 0,
    "MEMLOCK": 0,
    "MSGQUEUE": 0,
    "NICE": 0,
    "RTPRIO": 0,
    "SIGPENDING": 256,
}
"""Limits that the zygote can live with, too: forks inherit them."""


def rlimits_of_all() -> list[tuple[int, int]]:
    """Return the limits that all forks have, as numbers and values for `set_rlimits`."""
    return _numbered(_ALIKE)


def rlimits(memory_mb: int, cpu_s: int, n_tasks: int = 0) -> list[tuple[int, int]]:
    """Return the limits of one fork; `n_tasks` is how many tasks the user of the process has already."""
    return _numbered({"AS": memory_mb * _MB, "CPU": cpu_s, "NPROC": n_tasks + _N_THREADS})


def _numbered(wanted: dict[str, int]) -> list[tuple[int, int]]:
    numbers = {name: getattr(resource, f"RLIMIT_{name}", None) for name in wanted}
    return [(number, wanted[name]) for name, number in numbers.items() if number is not None]


def set_rlimits(limits: list[tuple[int, int]]) -> None:
    """Set soft and hard limits of this process. macOS refuses some."""
    for number, value in limits:
        try:  # noqa: SIM105 - in every fork: the fewer objects it touches, the fewer pages are copied
            resource.setrlimit(number, (value, value))
        except (ValueError, OSError):
            pass


# ------------------------------------------------------------------------------------------------------------ privileges


def drop_privileges(user: int | None, reads_any_file: bool) -> None:
    """As root, become a user without rights (`user`; if that is impossible, keep root's id without its powers)."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return
    _LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    with suppress(OSError):  # a container may not map the user
        if user is not None:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
    kept = _READ_ANY_FILE if reads_any_file else 0
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    _checked(_LIBC.syscall(_CAPSET[platform.machine()], header, sets), "capset")


def die_with_parent() -> None:
    """Ask to be killed when the parent ends. A change of user resets this, so call it afterwards."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of processes that the forks leave behind."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def hide() -> None:
    """Become not dumpable: other processes of the user cannot read this one's memory or descriptors under /proc."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


# -------------------------------------------------------------------------------------------------------------- Landlock

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _REFER, _TRUNCATE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 13, 1 << 14
_WORK = _WRITE_FILE | _READ_FILE | _READ_DIR | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
_OF_A_FILE = _WRITE_FILE | _READ_FILE | _TRUNCATE
_FILES_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_TCP, _SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals


def landlock_abi() -> int:
    """Return the kernel's Landlock version; 0 without Landlock."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_LIBC.syscall(_CREATE_RULESET, None, 0, 1)))


@dataclass(frozen=True)
class Folders:
    """The files that a program may see: `read` paths with everything below them, `lists` folders to list only, `work` to
    write."""

    read: tuple[str, ...]
    lists: tuple[str, ...]
    work: str


def make_ruleset(folders: Folders) -> int:
    """Return a Landlock ruleset's descriptor, made once and used by every fork. Raises OSError without Landlock."""
    abi = landlock_abi()
    files = _FILES_BY_ABI.get(abi, (1 << 16) - 1)
    attributes = (ctypes.c_uint64 * 3)(files, _TCP if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _checked(_LIBC.syscall(_CREATE_RULESET, attributes, size, 0), "landlock_create_ruleset")
    for path in folders.read:
        _allow(ruleset, path, _READ_FILE | _READ_DIR)
    for path in folders.lists:
        _allow(ruleset, path, _READ_DIR)
    _allow(ruleset, os.devnull, _READ_FILE | _WRITE_FILE)
    _allow(ruleset, folders.work, _WORK & files)
    return ruleset


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _OF_A_FILE
        rule = access.to_bytes(8, sys.byteorder) + descriptor.to_bytes(4, sys.byteorder)
        _checked(_LIBC.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), f"landlock_add_rule {path}")
    finally:
        os.close(descriptor)


def restrict(ruleset: int) -> None:
    """Put this process under the ruleset, irrevocably."""
    _checked(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")


def no_new_privileges() -> None:
    """Set the flag that an unprivileged process needs before Landlock and seccomp."""
    _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


# --------------------------------------------------------------------------------------------------------------- seccomp

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LAST_KNOWN = 466  # later system calls are refused until they have been reviewed
_X32 = 0x40000000
_CLONE_THREAD = 0x00010000
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_EPERM, _ENOSYS = 1, 38
_LOAD, _AND, _EQUAL, _ATLEAST, _ANYBIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

# Number on x86_64, on aarch64 (-1: does not exist). Calls in neither table are allowed.
DENIED: dict[str, tuple[int, int]] = {
    # other programs, other processes
    "execve": (59, 221), "execveat": (322, 281), "unshare": (272, 97), "setns": (308, 268), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274), "sched_setaffinity": (203, 122), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # the network
    "socket": (41, 198), "bind": (49, 200), "connect": (42, 203), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242),
    # file operations that Landlock does not cover
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "utime": (132, -1),
    "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88), "truncate": (76, 45), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fremovexattr": (199, 16), "setxattrat": (463, 463), "removexattrat": (466, 466), "mknod": (133, -1),
    "mknodat": (259, 33), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "sync": (162, 81),
    "syncfs": (306, 267), "inotify_init": (253, -1), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    # objects that outlive a process, and memory that no limit counts
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "msgget": (68, 186),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # the machine
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162),
    "init_module": (175, 105), "delete_module": (176, 106), "finit_module": (313, 273), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "fanotify_init": (300, 262), "personality": (135, 92), "iopl": (172, -1), "ioperm": (173, -1), "acct": (163, 89),
    "quotactl": (179, 60), "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "adjtimex": (159, 171), "vhangup": (153, 58), "mbind": (237, 235),
    "set_mempolicy": (238, 237), "uselib": (134, -1), "modify_ldt": (154, -1), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "quotactl_fd": (443, 443), "lookup_dcookie": (212, 18), "nfsservctl": (180, 42),
}  # fmt: skip
# Calls that the zygote needs and its forks must not have: new processes, signals to others, modes of files.
DENIED_TO_FORKS: dict[str, tuple[int, int]] = {
    "fork": (57, -1), "vfork": (58, -1), "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "chmod": (90, -1),
    "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
}  # fmt: skip
_CLONE3 = 435  # the C library falls back to clone, whose flags a filter can read
_STREAM = 1
_OWNERS_OF_SIGNALS = (8, 10, 15)  # fcntl F_SETOWN, F_SETSIG, F_SETOWN_EX: signals through a descriptor
_IOCTLS = (0x8901, 0x8902, 0x5412)  # FIOSETOWN, SIOCSPGRP: the same; TIOCSTI: typing into a terminal
_PRCTLS = (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, 0x59616D61)  # the last one: who may trace

Instruction = tuple[int, int, int, int]
"""A BPF instruction: code, jump offset if true, jump offset if false, value."""


class Filter:
    """A seccomp program for this machine's architecture, assembled once."""

    def __init__(self, checks: Iterable[list[Instruction]]) -> None:
        program = [*_PROLOGUE, *(step for check in checks for step in check), (_RETURN, 0, 0, _ALLOW)]
        code = b"".join(
            code.to_bytes(2, sys.byteorder) + bytes((yes, no)) + value.to_bytes(4, sys.byteorder)
            for code, yes, no, value in program
        )
        self._code = ctypes.create_string_buffer(code, len(code))
        length = len(program).to_bytes(8, "little")  # struct sock_fprog: a short and padding, then the pointer
        self._header = ctypes.create_string_buffer(length + ctypes.addressof(self._code).to_bytes(8, "little"))

    def install(self) -> None:
        """Install the filter irrevocably, in this process and in everything that it starts. Filters add up."""
        _checked(_LIBC.prctl(_PR_SET_SECCOMP, 2, self._header, 0, 0), "seccomp")


def zygote_filter() -> Filter:
    """Return the filter of the zygote, which its forks inherit: it blocks everything that the zygote does not need."""
    unknown = [(_ATLEAST, 0, 1, _LAST_KNOWN + 1), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    x32 = [(_ATLEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    checks = [_refused(numbers) for numbers in DENIED.values()]
    return Filter([x32, unknown, *checks, _on((53, 199), _only(_EQUAL, _STREAM, 1, mask=0xF))])


def fork_filter() -> Filter:
    """Return the filter of the forks, in addition to the zygote's."""
    checks = [_refused(numbers) for numbers in DENIED_TO_FORKS.values()]
    by_argument = {
        (56, 220): _only(_ANYBIT, _CLONE_THREAD, 0),  # clone: threads only
        (302, 261): _only(_EQUAL, 0, 0),  # prlimit64: one's own limits only
        (157, 167): _unless(_PRCTLS, 0),  # prctl
        (72, 25): _unless(_OWNERS_OF_SIGNALS, 1),  # fcntl
        (16, 29): _unless(_IOCTLS, 1),  # ioctl
    }
    clone3 = [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    return Filter([clone3, *checks, *(_on(numbers, block) for numbers, block in by_argument.items())])


_MACHINE = platform.machine()
_COLUMN = list(_ARCHITECTURES).index(_MACHINE) if _MACHINE in _ARCHITECTURES else 0
_PROLOGUE: list[Instruction] = [
    (_LOAD, 0, 0, _ARCHITECTURE),
    (_EQUAL, 1, 0, _ARCHITECTURES.get(_MACHINE, 0)),
    (_RETURN, 0, 0, _KILL),
    (_LOAD, 0, 0, _NUMBER),
]


def _refused(numbers: tuple[int, int]) -> list[Instruction]:
    return _on(numbers, [(_RETURN, 0, 0, _ERRNO | _EPERM)])


def _on(numbers: tuple[int, int], block: list[Instruction]) -> list[Instruction]:
    """Return instructions that run the block for this call; the block must return."""
    number = numbers[_COLUMN]
    return [(_EQUAL, 0, len(block), number), *block] if number >= 0 else []


def _argument(number: int) -> Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * number)


def _unless(values: Iterable[int], argument: int) -> list[Instruction]:
    """Refuse the call if an argument is one of the values."""
    refused = [step for value in values for step in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ERRNO | _EPERM))]
    return [_argument(argument), *refused, (_RETURN, 0, 0, _ALLOW)]


def _only(test: int, value: int, argument: int, mask: int | None = None) -> list[Instruction]:
    """Allow the call only if the test holds for an argument."""
    masked = [] if mask is None else [(_AND, 0, 0, mask)]
    return [_argument(argument), *masked, (test, 0, 1, value), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | _EPERM)]
