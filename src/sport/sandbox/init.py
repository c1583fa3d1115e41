"""Inside: the first process of a box. It closes the box off, forks the first state, and reports how processes end.

It runs no model-written code, is confined like everything in the box, and forks no more after the first time. When it
is killed - by the host, by the zygote, or with either of them - everything in the box is.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import Any, NoReturn

from sport.sandbox import frames
from sport.sandbox.inside import State
from sport.sandbox.layers import kernel
from sport.sandbox.layers.probes import Probes
from sport.sandbox.layers.walls import Walls


def begin(
    walls: Walls, message: dict[str, Any], settings: dict[str, Any], descriptors: list[int], alive: int
) -> NoReturn:
    """Become a box. ``descriptors``: control socket and pipes of the first state, and the socket for reports."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    *of_state, launch = descriptors
    report = socket.socket(fileno=launch)
    _keep_only({0, 1, 2, alive, *descriptors})
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)  # what number 1 of a process namespace is by itself
    probes = Probes(settings, message["probe"])
    try:
        directory, work = walls.enclose(message["box"], message["uid"], alive, probes)
        os.close(alive)
        told = {"uid": message["uid"], "work": work, "place": walls.place(message["box"])}
        _announce(report, directory, {"op": "launched", "error": None, **told})
    except Exception as error:  # whatever it is, there is no box without all of its walls
        frames.send(report, {"op": "launched", "error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    try:
        first = kernel.fork()
    except OSError as error:
        frames.send(report, {"op": "gated", "error": f"no process for it: {error}"})
        os._exit(1)
    if first == 0:
        _become_state(walls, State(work, settings["specs"], of_state), report, probes)
    for descriptor in of_state:
        os.close(descriptor)
    walls.close_init()
    _reap(report)


def _keep_only(descriptors: set[int]) -> None:
    """Close whatever else the zygote has open."""
    low = 0
    for descriptor in sorted(descriptors):
        if low < descriptor:  # closerange(0, 0) closes all there are
            os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 1 << 20)


def _become_state(walls: Walls, state: State, report: socket.socket, probes: Probes) -> NoReturn:
    """In the first state: the filters, and then whatever the host sends. It never returns as an init."""
    try:
        listener = walls.gate()
        _announce(report, listener, {"op": "gated", "error": None, "listener": listener is not None})
        probes.before_filter()
        walls.close()
        probes.after_filter()
        if probes.tried:
            frames.send(report, {"op": "probed", "results": probes.results})
            os._exit(0)
    except Exception as error:
        frames.send(report, {"op": "gated", "error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    report.close()
    try:
        state.begin()
    finally:
        os._exit(1)  # whatever happens, this process never goes on as an init


def _announce(report: socket.socket, descriptor: int | None, message: dict[str, Any]) -> None:
    if descriptor is None:
        frames.send(report, message)
        return
    data = frames.encode(message)
    socket.send_fds(report, [data], [descriptor])
    os.close(descriptor)


def _reap(report: socket.socket) -> NoReturn:
    """Tell of every process that ends; end with the last one."""
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            os._exit(0)
        try:
            frames.send(report, {"op": "ended", "pid": pid, "status": status})
        except OSError:  # the host has let go of the box and will kill it
            os._exit(0)
