"""Host: one box as it is seen from outside - its init, its directory, its fork gate, and who lives in it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from sport.errors import SandboxError
from sport.sandbox import frames
from sport.sandbox.layers.gate import Gate
from sport.sandbox.usage import cpu_seconds

LAUNCH_S = 20.0
END_S = 5.0


class Cell:
    """What the init of a box reports, and the host's way into the box's directory.

    ``directory`` is a path by an open descriptor, valid in this process and its children: what it leads to may be a
    file system that nobody but the box has mounted. ``directory/turn/work`` is the working directory of whose turn it
    is, and ``work`` the path under which code sees that; ``directory/aside`` is out of the box's sight. ``uid`` is the
    user that the box runs as, None for the host's own; ``init`` is the process id of its first process. ``place`` is
    where the directory lies among the host's, None where it is a file system of its own that goes with the box.
    """

    directory: Path
    work: str
    uid: int | None
    init = 0
    place: Path | None = None

    def __init__(self, near: socket.socket) -> None:
        near.setblocking(False)
        self._socket = near
        self._data = bytearray()
        self._descriptors: list[int] = []
        self._owned: list[int] = []
        self._gate: Gate | None = None
        self._gated: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._launched: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._probed: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._numbers: dict[int, int] = {}
        self._ended: dict[int, asyncio.Future[int]] = {}

    @classmethod
    def prepare(cls) -> tuple[Cell, socket.socket]:
        """A cell that nobody has moved into yet, and the socket for its init."""
        near, far = socket.socketpair()
        return cls(near), far

    async def arrive(self) -> None:
        """Wait until the walls are up.

        Raises:
            SandboxError: a layer that was there when the sandbox booted cannot be put up now, or nobody answers.
        """
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        try:
            message = await asyncio.wait_for(asyncio.shield(self._launched), LAUNCH_S)
            gated = await asyncio.wait_for(asyncio.shield(self._gated), LAUNCH_S)
        except (TimeoutError, ConnectionError) as error:
            raise SandboxError("a box's init did not report") from error
        if message["error"] or gated["error"]:
            raise SandboxError(f"a box could not be closed off: {message['error'] or gated['error']}")
        self.work = message["work"]
        self.uid = message["uid"]
        self.place = Path(message["place"]) if message["place"] else None

    async def probed(self) -> dict[str, str]:
        """What the probes got through, in a box that was opened for them. Raises SandboxError."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._probed), LAUNCH_S)
        except (TimeoutError, ConnectionError) as error:
            raise SandboxError("the probes of the sandbox did not report") from error

    @property
    def gate(self) -> Gate | None:
        """Where forks are asked for; None where that layer is missing, and forks are swept instead of refused."""
        return self._gate

    def admit(self, pid: int) -> None:
        """Take note of a process that says it belongs here. Raises SandboxError when it does not."""
        status = _status(pid)
        if _field(status, "PPid") != str(self.init):
            raise SandboxError("a new process is no child of its box")
        number = int((_field(status, "NSpid") or str(pid)).split()[-1])
        self._numbers[pid] = number
        self._future(number)

    async def ended(self, pid: int, within_s: float) -> int | None:
        """The wait status of an admitted process once it has ended; None when that does not happen in time."""
        number = self._numbers.get(pid)
        if number is None:
            return None
        try:
            status = await asyncio.wait_for(asyncio.shield(self._future(number)), within_s)
        except (TimeoutError, ConnectionError):
            return None
        self._numbers.pop(pid, None)
        self._ended.pop(number, None)
        return status

    async def kill(self, pid: int) -> int | None:
        """Kill an admitted process and wait for the init to reap it: its wait status, None if it does not end."""
        if pid in self._numbers and pid in _children(self.init):  # a zombie keeps its number until it is reaped
            with suppress(ProcessLookupError):  # its end and this may cross
                os.kill(pid, signal.SIGKILL)
        return await self.ended(pid, END_S)

    def members(self) -> set[int]:
        """Host process ids of everything alive in the box besides its init; zombies do not count."""
        return {pid for pid in _descendants(self.init) if (_field(_status(pid), "State") or "Z")[0] not in "ZX"}

    def threads(self, pid: int) -> int:
        """How many threads a process has, by the kernel's word; 0 when it is gone."""
        return int(_field(_status(pid), "Threads") or 0)

    def cpu_s(self, pid: int) -> float | None:
        """Seconds of processor time that a process has used; None when it is gone."""
        return cpu_seconds(pid)

    def own(self, path: Path) -> None:
        """Give what the host has made to the box's user; what is not given away, the box can only read."""
        if self.uid is not None:
            os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def close(self) -> None:
        """Let go of the box. Ending its init is the zygote's business."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        if self._gate is not None:
            self._gate.close()
            self._gate = None
        for descriptor in (*self._owned, *self._descriptors):
            os.close(descriptor)
        self._owned.clear()
        self._descriptors.clear()
        for future in self._futures():
            future.cancel()

    # ------------------------------------------------------------------------------------------- details

    def _futures(self) -> list[asyncio.Future[Any]]:
        return [self._launched, self._gated, self._probed, *self._ended.values()]

    def _future(self, number: int) -> asyncio.Future[int]:
        if number not in self._ended:
            self._ended[number] = asyncio.get_running_loop().create_future()
        return self._ended[number]

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 16, frames.MAX_DESCRIPTORS)
        except BlockingIOError:
            return
        except ConnectionError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._descriptors += descriptors
        if not data:
            self._hang_up()
            return
        self._data += data
        while (message := self._next()) is not None:
            self._take(message)

    def _next(self) -> dict[str, Any] | None:
        if len(self._data) < frames.HEADER_BYTES:
            return None
        end = frames.HEADER_BYTES + frames.body_length(bytes(self._data[: frames.HEADER_BYTES]))
        if len(self._data) < end:
            return None
        body = bytes(self._data[frames.HEADER_BYTES : end])
        del self._data[:end]
        return frames.decode(body)

    def _take(self, message: dict[str, Any]) -> None:
        if message["op"] == "launched" and not self._launched.done():
            if message["error"] is None:
                descriptor = self._descriptors.pop(0)
                self._owned.append(descriptor)
                self.directory = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
            elif not self._gated.done():
                self._gated.set_result(message)
            self._launched.set_result(message)
        elif message["op"] == "gated" and not self._gated.done():
            if message["error"] is None and message["listener"]:
                self._gate = Gate(self._descriptors.pop(0))
            self._gated.set_result(message)
        elif message["op"] == "probed" and not self._probed.done():
            self._probed.set_result(message["results"])
        elif message["op"] == "ended" and not self._future(message["pid"]).done():
            self._future(message["pid"]).set_result(message["status"])

    def _hang_up(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        for future in self._futures():
            if not future.done():
                future.set_exception(ConnectionResetError("the box is gone"))
                future.exception()  # seen: nobody may be waiting


def _status(pid: int) -> str:
    """What the kernel tells of a process; an empty text when it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _field(status: str, name: str) -> str | None:
    """One line of it. There are sixty, and this is asked for every fork: so they are not taken apart."""
    begin = status.find(f"\n{name}:")
    if begin < 0:
        return None
    begin += len(name) + 2
    return status[begin : status.index("\n", begin)].strip()


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _descendants(pid: int) -> list[int]:
    return [found for child in _children(pid) for found in (child, *_descendants(child))]
