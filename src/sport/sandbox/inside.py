"""Inside: the process that holds one state. It runs code, asks the host for tools, and forks. Standard library only.

Life of a box: forked from the zygote -> :meth:`State.begin` -> ``ready`` -> a loop of ``run`` and ``fork``.
Life of a candidate: forked twice from a state, so that its parent is the zygote and it outlives that state.
Places for what comes later are marked WALL: there, before the first untrusted byte, the walls go up and are inherited.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

from sport.sandbox import frames
from sport.sandbox.descriptors import part_from_parent
from sport.sandbox.execute import Runner, ToolError, flush
from sport.sandbox.stubs import make_stub

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, sign: int) -> None:
    """Get signal ``sign`` when ``parent`` ends; end at once if it is gone already."""
    if _libc.prctl(PR_SET_PDEATHSIG, sign, 0, 0, 0) != 0 or os.getppid() != parent:
        os._exit(1)


class State:
    """One process's side of the wall.

    ``work`` is the path that the code sees; ``descriptors`` are the control socket and the pipes for 1 and 2.
    """

    def __init__(self, zygote: int, work: str, specs: list[dict[str, Any]], descriptors: list[int]) -> None:
        self._zygote = zygote
        self._work = self._cwd = work
        self._specs = specs
        self._descriptors = descriptors
        self._owner = os.getpid()
        self._fork = os.fork  # the code may replace the one in os

    def begin(self, memory_bytes: int) -> NoReturn:
        """Become a box and serve until the channel closes. ``memory_bytes``: address space beyond today's."""
        os.environ.update(HOME=self._work, TMPDIR=os.path.join(self._work, ".tmp"))
        sys.argv[:] = [""]
        sys.path.append(self._work)  # last, so that no file of the code shadows a library
        self._settle()
        limit = _address_space() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # WALL: namespaces, uid, no new privileges, Landlock, seccomp.
        self._runner = Runner({spec["name"]: make_stub(spec, self._call, self._work) for spec in self._specs})
        os.register_at_fork(after_in_child=self._disown)
        self._ready()
        while True:
            self._serve_one()

    # ----------------------------------------------------------------------------------------- requests

    def _serve_one(self) -> None:
        received = frames.receive(self._control)
        if received is None:
            os._exit(0)
        message, descriptors = received
        if message["op"] == "run":
            frames.send(self._control, {"op": "done", **self._run(message["code"], message["seed"])})
        elif message["op"] == "fork":
            self._spawn(message["old"], message["new"], descriptors)

    def _run(self, code: str, seed: int) -> dict[str, Any]:
        try:
            os.chdir(self._cwd)
        except OSError:  # a directory that an earlier step removed
            os.chdir(self._work)
        result = self._runner.run(code, seed)
        if os.getpid() != self._owner:
            os._exit(0)  # a child that the code forked has come to the end of the code
        try:
            self._cwd = os.getcwd()
        except OSError:
            self._cwd = self._work
        return {**result, "threads": len(os.listdir("/proc/self/task"))}

    def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        with self._lock:
            try:
                frames.send(self._control, {"op": "call", "name": name, "arguments": arguments})
            except frames.FrameError as error:
                raise ToolError(f"{name}: the arguments are too large: {error}") from None
            received = frames.receive(self._control)
        if received is None:
            os._exit(1)
        answer = received[0]
        if answer["error"] is not None:
            raise ToolError(answer["error"])
        if answer["value"] is not None or not answer["files"]:
            return answer["value"]
        at_home = os.getcwd() == self._work
        names = [name if at_home else os.path.join(self._work, name) for name in answer["files"]]
        return names[0] if len(names) == 1 else names

    # -------------------------------------------------------------------------------------------- forks

    def _spawn(self, old: str, new: str, descriptors: list[int]) -> None:
        flush()
        gc.freeze()  # a collection in the child would touch, and so copy, every page
        self._owner = -1  # the two forks below are ours: _disown leaves them alone
        try:
            middle = self._fork()
        except OSError:
            middle = -1
        if middle == 0:
            self._leave_middle()
            self._descriptors = descriptors
            self._settle()
            part_from_parent(old, new, self._control.fileno())
            self._runner.fresh_streams()
            self._owner = os.getpid()
            self._ready()
            return
        self._owner = os.getpid()
        for descriptor in descriptors:
            os.close(descriptor)
        status = os.waitpid(middle, 0)[1] if middle > 0 else middle
        frames.send(self._control, {"op": "forked", "status": status})

    def _leave_middle(self) -> None:
        """Fork again and let the process between end: the zygote, a subreaper, adopts the child."""
        middle = os.getpid()
        try:
            grandchild = self._fork()
        except OSError:
            os._exit(1)
        if grandchild != 0:
            os._exit(0)
        self._control.close()
        while os.getppid() == middle:
            time.sleep(0.0002)

    def _settle(self) -> None:
        """A session of its own, death with the zygote, and the descriptors that the host made for it."""
        os.setsid()
        die_with_parent(self._zygote, signal.SIGKILL)
        control, out, err = self._descriptors
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        self._control = socket.socket(fileno=control)
        self._lock = threading.Lock()

    def _ready(self) -> None:
        frames.send(self._control, {"op": "ready", "pid": os.getpid()})

    def _disown(self) -> None:
        """In a child that the code forked: it must not speak for its parent."""
        if self._owner != -1:
            self._control.close()


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
