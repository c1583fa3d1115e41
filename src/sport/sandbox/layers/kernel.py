"""System calls that Python does not offer, for Linux on x86-64. Standard library only: this is loaded inside.

Each function raises OSError with the name of the call, so that a layer which the machine refuses can say why.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys

CLONE, UNSHARE, PIVOT_ROOT, CAPSET, SECCOMP, MOUNT_SETATTR = 56, 272, 155, 126, 317, 442
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
CLONE_PARENT, CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID = 0x8000, 0x1000000, 0x200000
FORK_FLAGS = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | signal.SIGCHLD

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE = 1, 2, 3, 4
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 23, 24, 36
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS = 38, 39, 40
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
MADV_COLLAPSE, HUGE = 25, 2 << 20

# PyDLL keeps the interpreter's lock during a call: what a fork needs, and harmless for calls that return at once.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def supported() -> str | None:
    """Why the filters here are not for this machine; None where they are."""
    if sys.platform != "linux":
        return f"{platform.system()} is not Linux"
    if platform.machine() not in ("x86_64", "AMD64") or sys.maxsize < 2**32:
        return f"{platform.machine()} is not x86-64, the one processor with a tested filter"
    return None


def syscall(name: str, number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """A system call by number; integers go as 64 bits. Raises OSError."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(name, _libc.syscall(ctypes.c_long(number), *words))


def prctl(option: int, *arguments: int) -> int:
    """A process's own settings. Raises OSError."""
    words = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    return _checked("prctl", _libc.prctl(option, *words))


def fork(flags: int = 0) -> int:
    """``os.fork`` with flags of clone(2): namespaces for the child, or ``CLONE_PARENT`` for a sibling.

    Python's own preparations are made as ``os.fork`` makes them. What the C library does besides matters to processes
    with threads only, but for the number of the thread that it keeps: the kernel writes it anew. Single-threaded only.

    Raises:
        OSError: it was refused, or there is no room.
    """
    place = ctypes.c_long()
    try:
        prctl(PR_GET_TID_ADDRESS, ctypes.addressof(place))
        flags |= FORK_FLAGS
    except OSError:  # a kernel without it: the C library keeps the parent's number, which only raise() would use
        flags |= signal.SIGCHLD
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _libc.syscall(
        ctypes.c_long(CLONE), ctypes.c_long(flags), None, None, ctypes.c_long(place.value), ctypes.c_long(0)
    )
    number = ctypes.get_errno()
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, f"clone: {os.strerror(number)}")
    return pid


def unshare(flags: int) -> None:
    """New namespaces for this process. Raises OSError."""
    syscall("unshare", UNSHARE, flags)


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount a file system, or change how one is mounted. Raises OSError, which names the target."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    data = None if options is None else options.encode()
    _checked(f"mount {target}", _libc.mount(*words, ctypes.c_ulong(flags), data))


def unmount(target: str) -> None:
    """Take a mount away, and what is mounted below it. Raises OSError."""
    _checked(f"umount {target}", _libc.umount2(os.fsencode(target), MNT_DETACH))


def collapse_memory() -> int:
    """Put this process's private memory on huge pages where it fills them; the bytes that are on such now.

    A fork copies one entry for each page: with 120 MB of imported libraries this makes it four times as fast. Pages
    that a child writes to are split again, so that it still gets only those of its own. Before Linux 6.1: nothing.
    """
    done = 0
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        rows = [row.split() for row in file]
    for row in rows:
        if row[1] == "rw-p" and row[5:] in ([], ["[heap]"]):
            start, end = (int(word, 16) for word in row[0].split("-"))
            for page in range(-(-start // HUGE) * HUGE, end - HUGE + 1, HUGE):
                done += HUGE if _libc.madvise(ctypes.c_void_p(page), ctypes.c_size_t(HUGE), MADV_COLLAPSE) == 0 else 0
    return done


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
