"""``executor = "unsafe"``: the same sandbox without its walls, for debugging and for machines that are not Linux.

Every state is an ordinary process of whoever started it, with all that this user may do: read and delete files, reach
the network, end processes. A state cannot be forked; each candidate is a new process to which the journal is replayed,
so that a step costs as much as all steps before it together, and the imports of ``sandbox.libraries`` (a shorter list
is quicker). Variables, files and output are kept apart as in the forking sandbox. What is limited: time, output, and on
Linux the address space. What a state leaves running is ended with it as long as it stays in its process group.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar

from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox.channel import Channel, Drain
from sport.sandbox.forked import ForkedSandbox
from sport.sandbox.frames import FrameError
from sport.sandbox.launch import ENVIRONMENT
from sport.sandbox.layers.report import Layer
from sport.sandbox.process import Process, close_all
from sport.sandbox.usage import cpu_seconds
from sport.types import ToolSpec

START_S = 60.0  # imports on a cold disk
WARNING = (
    'sandbox.executor = "unsafe": model-written code runs as YOU, without any wall. It can read, change and delete your'
    " files, use your network and end your processes. Use it for debugging alone."
)
_ENTRY = "import sys; sys.path.append(sys.argv.pop()); from sport.sandbox.plain import main; main()"


class Yard:
    """What stands for a closed cell: a directory like any other, and no wall around it."""

    gate = None
    uid = None
    init = 0

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("turn", "aside"):
            (directory / name).mkdir(parents=True)
        self.work = str(directory / "turn" / "work")
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def admit(self, pid: int) -> None:
        """Believe it."""

    def keep(self, process: subprocess.Popen[bytes]) -> None:
        """Reap this one when it is killed."""
        self._processes[process.pid] = process

    async def kill(self, pid: int) -> int | None:
        """End a process with its group; its wait status, None where it is not known."""
        process = self._processes.pop(pid, None)
        if process is None:
            return None
        _kill_group(process)
        code = await asyncio.to_thread(process.wait)
        return -code if code < 0 else code << 8

    def members(self) -> set[int]:
        """Nobody whom a sweep should look at: what runs here is not known."""
        return set()

    def threads(self, pid: int) -> int:
        """Not asked: nothing here forks."""
        return 1

    def cpu_s(self, pid: int) -> float | None:
        """Seconds of processor time that a process has used; None where that is not Linux."""
        return cpu_seconds(pid)

    def own(self, path: Path) -> None:
        """Everything belongs to one user."""

    def close(self) -> None:
        """End what is left."""
        for process in self._processes.values():
            _kill_group(process)
            process.wait()
        self._processes.clear()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies
        os.killpg(process.pid, signal.SIGKILL)


class PlainProcess(Process):
    """A state in a program of its own."""

    can_fork = False
    popen: subprocess.Popen[bytes]
    log: IO[bytes]

    @classmethod
    def make(cls, yard: Yard, limit: int) -> tuple[PlainProcess, list[int]]:
        """A handle that no process answers yet, and the descriptors for it. Nobody is asked who they are."""
        near, far = socket.socketpair()
        pipes = [os.pipe(), os.pipe()]
        drains = [Drain(read_end, limit) for read_end, _ in pipes]
        return cls(yard, Channel(near), *drains), [far.detach(), *(write_end for _, write_end in pipes)]

    async def arrive(self) -> Process:
        """Wait for ``ready``; the process stands still then. Raises SandboxError with what it wrote."""
        try:
            ready = await asyncio.wait_for(self.channel.receive(), START_S)
        except (TimeoutError, FrameError):
            ready = None
        with self.log:
            if ready is None or ready.get("op") != "ready":
                self.log.seek(0)
                said = self.log.read()[-2000:].decode("utf-8", "replace").strip()
                raise SandboxError(f"a new process did not report: {said or 'no word from it'}")
        self.pid = self.popen.pid
        self.rest()
        return self

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return bool(self.pid) and self.popen.poll() is None

    def signal(self, sign: signal.Signals) -> None:
        """Send a signal to the process and its group; nothing happens where it has ended."""
        if self.alive:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, sign)


class Yards:
    """Makes processes as the zygote makes them, one program each."""

    layers: ClassVar[tuple[Layer, ...]] = (Layer("walls", "disabled", "sandbox.executor=unsafe"),)

    dead = False  # nothing stands between the host and its processes

    async def start(self, home: Path, limits: SandboxSection, specs: Sequence[ToolSpec]) -> None:
        """Say loudly what this is."""
        sys.stderr.write(f"WARNING: {WARNING}\n")
        self._home = home
        self._settings = {
            "libraries": list(limits.libraries),
            "memory_bytes": limits.memory_mb << 20,
            "specs": [spec.model_dump(mode="json") for spec in specs],
        }

    async def stop(self) -> None:
        """Nothing runs that no box holds."""

    async def open(self, name: str, limit: int) -> tuple[Yard, Process]:
        """A directory, and a process that has not been heard yet. Raises SandboxError."""
        yard = Yard(self._home / name)
        process, far = PlainProcess.make(yard, limit)
        source = str(Path(__file__).resolve().parents[2])
        words = [sys.executable, "-P", "-s", "-c", _ENTRY, *map(str, far), source]
        process.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has arrived
        try:
            process.popen = subprocess.Popen(
                words,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=process.log,
                stderr=process.log,
                pass_fds=far,
                cwd=yard.directory,
                start_new_session=True,
            )
            yard.keep(process.popen)
            await process.channel.send({**self._settings, "work": yard.work})
        except OSError as error:
            process.abandon()
            await self.evict(yard)
            raise SandboxError(f"no new process: {error}") from error
        finally:
            close_all(far)
        return yard, process

    async def evict(self, yard: Yard, /) -> None:
        """End what lives there and remove it."""
        yard.close()
        await asyncio.to_thread(shutil.rmtree, yard.directory, ignore_errors=True)


class UnsafeSandbox(ForkedSandbox):
    """A :class:`~sport.sandbox.base.Sandbox` without walls; see above before you use it."""

    source = Yards
