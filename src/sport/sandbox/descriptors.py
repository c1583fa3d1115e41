"""Inside: what a forked child does to the open files it inherits. Standard library only.

After a fork both sides share offsets, and a file that the state holds open in its working directory is still the
state's file. The child opens each again - its own copy where the file lies in the directory - under the same number.
Not covered: shared memory maps, and files outside the directory, whose contents stay shared.
"""

from __future__ import annotations

import os
import stat


def part_from_parent(old: str, new: str, keep: int) -> None:
    """Reopen every regular file; ``old`` is the state's directory, ``new`` its copy, ``keep`` the control channel."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor != keep and _is_regular(descriptor):
            _reopen(descriptor, old, new)


def _is_regular(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:  # the descriptor with which /proc was listed
        return False


def _reopen(descriptor: int, old: str, new: str) -> None:
    import fcntl

    link = f"/proc/self/fd/{descriptor}"
    path = os.readlink(link)
    own = new + path[len(old) :] if path.startswith(old + os.sep) else link
    # Creation and truncation belong to the first open only.
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~(os.O_CREAT | os.O_TRUNC | os.O_EXCL)
    try:
        fresh = os.open(own if os.path.exists(own) else link, flags | os.O_CLOEXEC)
    except OSError:
        os.close(descriptor)  # better no file than the state's file
        return
    inheritable = os.get_inheritable(descriptor)
    os.lseek(fresh, os.lseek(descriptor, 0, os.SEEK_CUR), os.SEEK_SET)
    os.dup2(fresh, descriptor, inheritable=inheritable)
    os.close(fresh)
