"""Inside: the process that imports once and from which every box is forked. It never runs model-written code.

Started with a cleared environment; speaks frames with the host on the descriptor named on its command line. It is a
subreaper: every process of every box ends up below it, and when the host goes - by ``stop`` or by kill -9 - it kills
all of them and removes their directories before it ends. An init that has died stays a zombie until the host asks for
it, so that a process id the host knows is never somebody else's.
"""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from sport.sandbox import frames, init
from sport.sandbox.layers import kernel
from sport.sandbox.layers.walls import Walls

SWEEP_S = 5.0


class LibraryError(Exception):
    """A package that code is to find inside cannot be imported."""


def main() -> None:
    """Boot from ``argv`` (descriptor, host's process id), then serve until the host goes."""
    descriptor, host = int(sys.argv[1]), int(sys.argv[2])
    os.umask(0o022)  # another one would close a box's own root to it
    control = socket.socket(fileno=descriptor)
    # The host's death hangs up the channel. Raising here instead could interrupt the sweep that a hang-up has begun.
    signal.signal(signal.SIGTERM, lambda *_: control.shutdown(socket.SHUT_RDWR))
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    received = frames.receive(control) if os.getppid() == host else None
    if received is None:
        return
    settings = received[0]
    walls = Walls(settings)
    try:
        if not os.path.isdir(settings["home"]):  # a place of the user's own choice is there
            os.mkdir(settings["home"], 0o700)
        _boot(control, settings, walls)
        Zygote(control, settings, walls).serve()
    except LibraryError as error:
        frames.send(control, {"op": "missing", "error": str(error)})
    finally:
        _sweep()
        if walls.strike():  # else a box's root may still lie below, with the host's libraries in it
            shutil.rmtree(settings["home"], ignore_errors=True)  # the host removes what it still can, and reports it


def _boot(control: socket.socket, settings: dict[str, Any], walls: Walls) -> None:
    _import_all(settings["libraries"])
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"{threads} threads after importing {settings['libraries']}: a fork would lose all but one")
    _forget_ourselves()
    walls.prepare(sys.path)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)  # a user namespace of one's own forgets it
    gc.collect()
    gc.freeze()
    kernel.collapse_memory()
    frames.send(control, {"op": "ready", "pid": os.getpid(), "layers": walls.states})


class Zygote:
    """Serves the host's requests for boxes, one after another."""

    def __init__(self, control: socket.socket, settings: dict[str, Any], walls: Walls) -> None:
        self._control = control
        self._settings = settings
        self._walls = walls
        self._alive, self._life = os.pipe()  # every box holds the read end, and only this process the other

    def serve(self) -> None:
        """Until the host hangs up."""
        while (received := frames.receive(self._control)) is not None:
            message, descriptors = received
            if message["op"] == "open":
                reply = self._open(message, descriptors)
            else:
                self._walls.forget(message["pid"])
                reply = {"status": _kill(message["pid"])}
            frames.send(self._control, {"id": message["id"], **reply})

    def _open(self, message: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        try:
            uid = self._walls.next_uid()
            pid = kernel.fork(self._walls.clone_flags())
        except OSError as error:
            _close_all(descriptors)
            return {"error": str(error), "pid": None}
        if pid == 0:
            try:
                self._control.close()
                init.begin(self._walls, {**message, "uid": uid}, self._settings, descriptors, self._alive)
            finally:
                os._exit(1)  # whatever happens, this process never goes on as a zygote
        _close_all(descriptors)
        self._walls.remember(pid, uid)
        return {"error": None, "pid": pid}


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _import_all(libraries: list[str]) -> None:
    """Import them without pyarrow, unless it is asked for: pandas takes it where it lies, twice the memory to fork.

    Raises:
        LibraryError: one is not there, or broken.
    """
    hidden = "pyarrow" not in libraries
    if hidden:
        sys.modules["pyarrow"] = None  # type: ignore[assignment]
    for library in libraries:
        try:
            importlib.import_module(library)
        except Exception as error:  # whatever a foreign package raises while it is imported
            raise LibraryError(f"{library}: {type(error).__name__}: {error}") from error
    if hidden:
        del sys.modules["pyarrow"]
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)  # a state with threads cannot be forked


def _kill(pid: int) -> int | None:
    """Kill an init and all below it; its wait status, None if it is no child of ours."""
    if pid not in _children(os.getpid()):
        return None
    family = _descendants(pid)
    for member in (pid, *family):
        _try_kill(os.kill, member)
    _, status = os.waitpid(pid, 0)
    for member in family:  # ours by now, where there is no process namespace to take them along
        try:
            os.waitpid(member, 0)
        except ChildProcessError:
            continue
    return status


def _try_kill(send: Callable[[int, int], None], pid: int) -> None:
    try:
        send(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:  # it has ended meanwhile
        return []


def _descendants(pid: int) -> list[int]:
    return [found for child in _children(pid) for found in (child, *_descendants(child))]


def _sweep() -> None:
    """Kill and reap everything that descends from here, daemons included."""
    until = time.monotonic() + SWEEP_S
    while time.monotonic() < until:
        for pid in _descendants(os.getpid()):
            _try_kill(os.kill, pid)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _forget_ourselves() -> None:
    """Model-written code finds no package of ours, unless one is installed for all."""
    sys.path[:] = [entry for entry in sys.path if entry != sys.argv[3]]
    for name in [name for name in sys.modules if name == "sport" or name.startswith("sport.")]:
        del sys.modules[name]
