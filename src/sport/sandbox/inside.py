"""Inside: the process that holds one state. It runs code, asks the host for tools, and forks. Standard library only.

Life of a box: its init (:mod:`~sport.sandbox.init`) forks -> :meth:`State.begin` -> ``ready`` -> a loop of ``run`` and
``fork``. Life of a candidate: forked from a state as its sibling, so that its parent is the init and it outlives that
state. All walls but the filters are up before this begins; the filters go on first of all.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
from os import chdir, getcwd  # the code may replace those in os
from typing import Any, NoReturn

from sport.sandbox import frames
from sport.sandbox.descriptors import Note, highest, note, read_nameless, reopen
from sport.sandbox.execute import Runner, ToolError, flush
from sport.sandbox.layers import kernel
from sport.sandbox.stubs import make_stub


class State:
    """One process's side of the wall.

    ``work`` is the path that the code sees; ``descriptors`` are the control socket and the pipes for 1 and 2.
    """

    def __init__(self, work: str, specs: list[dict[str, Any]], descriptors: list[int]) -> None:
        self._init = os.getppid()
        self._work = self._cwd = work
        self._specs = specs
        self._descriptors = descriptors
        self._owner = os.getpid()
        self._highest = highest()  # the code may lower the limit
        self._files: list[Note] = []  # open files as they were after the last run
        self._nameless: dict[int, bytes] | None = None  # in a future that has not run yet: they are still the state's
        self._fork = kernel.fork  # the code may replace the one there

    def begin(self) -> NoReturn:
        """Become a box's first state and serve until the channel closes."""
        os.environ.update(HOME=self._work, TMPDIR=os.path.join(self._work, ".tmp"))
        tempfile.tempdir = None  # some library has asked already, in the zygote
        sys.argv[:] = [""]
        sys.path.append(self._work)  # last, so that no file of the code shadows a library
        self._settle()
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
            self._reopen()
            result = self._run(message["code"], message["seed"])
            self._files = note(self._work, self._highest)
            frames.send(self._control, {"op": "done", "id": message["id"], **result})
        elif message["op"] == "fork":
            self._spawn(descriptors)

    def _run(self, code: str, seed: int) -> dict[str, Any]:
        try:
            chdir(self._cwd)
        except OSError:  # a directory that an earlier step removed
            chdir(self._work)
        result = self._runner.run(code, seed)
        if os.getpid() != self._owner:
            os._exit(0)  # a child that the code forked has come to the end of the code
        try:
            self._cwd = getcwd()
        except OSError:
            self._cwd = self._work
        return result

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
        at_home = getcwd() == self._work
        names = [name if at_home else f"{self._work}/{name}" for name in answer["files"]]
        return names[0] if len(names) == 1 else names

    # -------------------------------------------------------------------------------------------- forks

    def _spawn(self, descriptors: list[int]) -> None:
        """Fork a sibling. Nobody need be on the path; the child's directory will be there when it is told to run."""
        flush()
        self._owner = -1  # the fork below is ours: _disown leaves it alone
        try:
            child, status = self._fork(kernel.CLONE_PARENT), 0
        except OSError as error:
            child, status = -1, error.errno or 1
        self._owner = os.getpid()
        if child == 0:
            self._control.close()
            self._descriptors = descriptors
            self._settle()
            self._nameless = self._nameless if self._nameless is not None else read_nameless(self._files)
            self._runner.fresh_streams()
            self._ready()
            return
        for descriptor in descriptors:
            os.close(descriptor)
        frames.send(self._control, {"op": "forked", "status": status})

    def _reopen(self) -> None:
        if self._nameless is not None:
            reopen(self._files, self._nameless, self._work)
            self._nameless = None

    def _settle(self) -> None:
        """A session of its own, death with the init, and the descriptors that the host made for it."""
        os.setsid()
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._init:
            os._exit(1)
        control, out, err = self._descriptors
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        self._control = socket.socket(fileno=control)
        self._lock = threading.Lock()

    def _ready(self) -> None:
        frames.send(self._control, {"op": "ready"})

    def _disown(self) -> None:
        """In a child that the code forked: it must not speak for its parent."""
        if self._owner != -1:
            self._control.close()
