"""Inside: resource limits, soft and hard alike, so that code cannot raise them again."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping

GROWTH = 256

_ALWAYS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_MEMLOCK: 0,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_RTPRIO: 0,
    resource.RLIMIT_NICE: 0,
    resource.RLIMIT_SIGPENDING: 256,
}


def apply(settings: Mapping[str, int], today: int, others: int = 0) -> None:
    """Set what ``settings`` names: ``memory_bytes`` beyond ``today``, ``open_files``, ``threads``, ``file_bytes``.

    ``threads`` counts what runs under the box's user id, processes included, ``others`` apart; Linux never counts
    root's.

    Raises:
        OSError, ValueError: a limit above one that is already in force and hard.
    """
    wanted = {
        resource.RLIMIT_AS: today + settings["memory_bytes"],
        resource.RLIMIT_FSIZE: settings["file_bytes"],
        resource.RLIMIT_NOFILE: settings["open_files"],
        resource.RLIMIT_NPROC: others + settings["threads"],
        **_ALWAYS,
    }
    for kind, limit in wanted.items():
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(kind, (limit, limit))


def address_space() -> int:
    """Bytes of address space that this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def shared_threads() -> int:
    """What a box that keeps its host's user id must be allowed beyond its own threads: Linux counts by user.

    All that this user runs now, and :data:`GROWTH` for what it starts later, other boxes included.
    """
    me, count = os.getuid(), 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:
                status = dict(line.split(":", 1) for line in file if ":" in line)
        except OSError:  # it has ended
            continue
        if int(status["Uid"].split()[0]) == me:
            count += int(status["Threads"])
    return count + GROWTH
