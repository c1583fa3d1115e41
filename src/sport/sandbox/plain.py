"""Inside, for ``executor = "unsafe"``: a state in an ordinary process, without walls and without forks.

The loop is that of :mod:`~sport.sandbox.inside`; what it does at the start and the end of a process is portable.
"""

from __future__ import annotations

import importlib
import os
import resource
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

from sport.sandbox import frames
from sport.sandbox.inside import State


class Plain(State):
    """A state that its host has started as a program. When its channel closes, it ends at its next step."""

    def _settle(self) -> None:
        control, out, err = self._descriptors
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        self._control = socket.socket(fileno=control)
        self._lock = threading.Lock()


def main() -> None:
    """``argv``: the descriptors of the control socket and of the pipes for 1 and 2. The first frame holds the rest."""
    descriptors = [int(word) for word in sys.argv[1:4]]
    with socket.socket(fileno=os.dup(descriptors[0])) as control:
        received = frames.receive(control)
    if received is None:
        return
    settings: dict[str, Any] = received[0]
    for library in settings["libraries"]:
        importlib.import_module(library)
    with suppress(OSError, ValueError):  # not everywhere; it is a help against accidents here, not a wall
        limit = settings["memory_bytes"] + _address_space()
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    Plain(settings["work"], settings["specs"], descriptors).begin()


def _address_space() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux
        return 1 << 40
