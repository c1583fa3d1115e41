"""The two filters of a box, in words: what a call must be like to be made. They add up; the stricter one wins."""

from __future__ import annotations

import errno
import signal

from sport.sandbox.layers import bpf, refusals
from sport.sandbox.layers.kernel import PR_SET_PDEATHSIG

_NO = bpf.refuse(errno.EPERM)
_DONE = bpf.refuse(0)
_NO_SUCH_CALL = bpf.refuse(errno.ENOSYS)


def gate(on_fork: int) -> bytes:
    """Threads are let through, ``clone3`` does not exist (the C library then asks by ``clone``), forks get ``on_fork``.

    ``on_fork``: a verdict, ``bpf.NOTIFY`` where the host decides on each.
    """
    threads = [*bpf.argument(0), *bpf.if_any(refusals.CLONE_THREAD, bpf.ALLOW), *bpf.verdict(on_fork)]
    return bpf.assemble(
        [
            *bpf.start(),
            *bpf.for_calls((refusals.FORK, refusals.VFORK), on_fork),
            *bpf.for_call(refusals.CLONE, threads),
            *bpf.for_call(refusals.CLONE3, bpf.verdict(_NO_SUCH_CALL)),
            *bpf.verdict(bpf.ALLOW),
        ]
    )


def refusing(among_host_files: bool = False) -> bytes:
    """Everything of :mod:`refusals`, and what depends on a call's arguments. Plain forks are the gate's business.

    ``among_host_files``: there is no root of the box's own, so that modes and times of files must not be changed.
    """
    return bpf.assemble(
        [
            *bpf.start(),
            *bpf.for_calls(refusals.REFUSED.values(), _NO),
            *bpf.for_calls(refusals.MODES.values() if among_host_files else (), _DONE),
            *bpf.for_call(refusals.CLONE, _no_namespaces()),
            *bpf.for_call(refusals.CLONE3, bpf.verdict(_NO_SUCH_CALL)),
            *bpf.for_call(refusals.MMAP, _private_memory()),
            *bpf.for_call(refusals.SENDTO, [*bpf.upper(4), *bpf.if_any(0xFFFFFFFF, _NO), *_only(4, 0)]),
            *bpf.for_call(refusals.SOCKETPAIR, _only(0, refusals.AF_UNIX)),
            *bpf.for_call(refusals.PRCTL, _settings()),
            *bpf.for_call(refusals.PRLIMIT, _only(0, 0)),
            *bpf.for_call(refusals.FCNTL, _none_of(1, refusals.FCNTL_REFUSED)),
            *bpf.for_call(refusals.IOCTL, _none_of(1, refusals.IOCTL_REFUSED)),
            *bpf.from_number(refusals.FIRST_UNKNOWN, _NO_SUCH_CALL),
            *bpf.verdict(bpf.ALLOW),
        ]
    )


def _no_namespaces() -> bpf.Code:
    return [*bpf.argument(0), *bpf.if_any(refusals.NEW_NAMESPACES, _NO), *bpf.verdict(bpf.ALLOW)]


def _private_memory() -> bpf.Code:
    """No shared maps at all: one that was opened for reading could be made writable later (mprotect)."""
    return [*bpf.argument(3), *bpf.if_any(refusals.MAP_SHARED, _NO), *bpf.verdict(bpf.ALLOW)]


def _settings() -> bpf.Code:
    """prctl: harmless options by name, and death with the parent, which a process may ask for but not refuse."""
    allowed = [s for n in sorted(refusals.PRCTL_ALLOWED.values()) for s in bpf.if_equal(n, bpf.ALLOW)]
    death = [*bpf.argument(1), *bpf.if_equal(signal.SIGKILL, bpf.ALLOW), *bpf.verdict(_NO)]
    return [*bpf.argument(0), *allowed, *bpf.for_call(PR_SET_PDEATHSIG, death), *bpf.verdict(_NO)]


def _only(index: int, value: int) -> bpf.Code:
    return [*bpf.argument(index), *bpf.if_equal(value, bpf.ALLOW), *bpf.verdict(_NO)]


def _none_of(index: int, refused: dict[str, int]) -> bpf.Code:
    refusing = [step for value in sorted(refused.values()) for step in bpf.if_equal(value, _NO)]
    return [*bpf.argument(index), *refusing, *bpf.verdict(bpf.ALLOW)]
