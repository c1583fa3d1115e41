"""Inside: the process that imports once and from which every box is forked. It never runs model-written code.

Started with a cleared environment; speaks frames with the host on the descriptor named on its command line. It is a
subreaper: every process of every box ends up as its child, and when the host goes - by ``stop`` or by kill -9 - it
kills all of them and removes their directories before it ends. A box that has died stays a zombie until the host asks
for its status, so that a process id the host knows is never somebody else's.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import shutil
import signal
import socket
import sys
import time
from typing import Any

from sport.sandbox import frames
from sport.sandbox.inside import State, die_with_parent

PR_SET_CHILD_SUBREAPER = 36
SWEEP_S = 5.0


def main() -> None:
    """Boot from ``argv`` (descriptor, host's process id), then serve until the host goes."""
    descriptor, host = int(sys.argv[1]), int(sys.argv[2])
    control = socket.socket(fileno=descriptor)
    # The host's death hangs up the channel. Raising here instead could interrupt the sweep that a hang-up has begun.
    signal.signal(signal.SIGTERM, lambda *_: control.shutdown(socket.SHUT_RDWR))
    die_with_parent(host, signal.SIGTERM)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    received = frames.receive(control)
    if received is None:
        return
    try:
        _serve(control, received[0])
    finally:
        _sweep()
        shutil.rmtree(received[0]["home"], ignore_errors=True)  # the host removes what it still can, and reports it


def _serve(control: socket.socket, settings: dict[str, Any]) -> None:
    _import_all(settings["libraries"])
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"{threads} threads after importing {settings['libraries']}: a fork would lose all but one")
    _forget_ourselves()
    gc.collect()
    gc.freeze()
    frames.send(control, {"op": "ready", "pid": os.getpid()})
    while (received := frames.receive(control)) is not None:
        message, descriptors = received
        if message["op"] == "open":
            reply = _open(control, settings, message, descriptors)
        else:
            reply = {"status": _kill(message["pid"])}
        frames.send(control, {"id": message["id"], **reply})


def _import_all(libraries: list[str]) -> None:
    """Import them without pyarrow, unless it is asked for: pandas takes it where it lies, twice the memory to fork."""
    hidden = "pyarrow" not in libraries
    if hidden:
        sys.modules["pyarrow"] = None  # type: ignore[assignment]
    for library in libraries:
        importlib.import_module(library)
    if hidden:
        del sys.modules["pyarrow"]


def _open(
    control: socket.socket, settings: dict[str, Any], message: dict[str, Any], descriptors: list[int]
) -> dict[str, Any]:
    zygote = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        pid, failure = -1, str(error)
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        control.close()
        try:
            State(zygote, message["work"], settings["specs"], descriptors).begin(settings["memory_bytes"])
        finally:
            os._exit(1)  # whatever happens, this process never goes on as a zygote
    for descriptor in descriptors:
        os.close(descriptor)
    return {"error": failure} if pid < 0 else {"error": None}


def _kill(pid: int) -> int | None:
    """Kill a box, its process group and its descendants; its wait status, None if it is no child of ours."""
    if pid not in _children(os.getpid()):
        return None
    family = _descendants(pid)
    _try_kill(os.killpg, pid)
    for member in (pid, *family):
        _try_kill(os.kill, member)
    _, status = os.waitpid(pid, 0)
    for member in family:  # ours by now; one whose parent is still dying is left to the last sweep
        try:
            os.waitpid(member, 0)
        except ChildProcessError:
            continue
    return status


def _try_kill(send: Any, pid: int) -> None:
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
