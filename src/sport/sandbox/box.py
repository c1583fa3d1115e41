"""Host: a box - one trajectory's processes, the path on which they take turns, and their directories."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox import reach, workdir
from sport.sandbox.cell import Cell
from sport.sandbox.layers.report import Layer
from sport.sandbox.process import Process
from sport.sandbox.toolcalls import Desk
from sport.sandbox.turn import Turn
from sport.types import File, ToolSpec

if TYPE_CHECKING:
    from sport.sandbox.interpreter import ForkedInterpreter

READ_ONLY = 0o444
SWEEP_S = 1.0


class Source(Protocol):
    """Where boxes and their first processes come from: the zygote."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What is around each box, once started."""
        ...

    @property
    def dead(self) -> bool:
        """Whether it was started and has ended by itself since."""
        ...

    async def start(self, home: Path, limits: SandboxSection, specs: Sequence[ToolSpec]) -> None:
        """Boot. Raises ConfigError, SandboxError."""

    async def stop(self) -> None:
        """End everything that came from here."""

    async def open(self, name: str, limit: int) -> tuple[Any, Process]:
        """A box, which has all that a :class:`~sport.sandbox.cell.Cell` shows, and its first process, not heard yet.

        Raises:
            SandboxError: it cannot be made.
        """
        ...

    async def evict(self, cell: Any, /) -> None:
        """End everything in a box. Raises SandboxError."""


class FilesError(SandboxError):
    """A task's files do not fit into the working directory."""


class House:
    """What all boxes of a sandbox share: where processes come from, the desk for tools and files, and the limits."""

    def __init__(self, zygote: Source, desk: Desk, limits: SandboxSection) -> None:
        self.zygote = zygote
        self.desk = desk
        self.limits = limits
        self.caps = workdir.caps(limits)
        self.boxes: list[Box] = []
        self._numbers = 0

    async def box(self, name: str, files: Sequence[File]) -> tuple[Box, Turn]:
        """A box, and the process that all others in it come from, with ``files`` in its directory, read-only.

        Several boxes may have one name: what is rebuilt from a journal gets one of its own.

        Raises:
            SandboxError: it cannot be started; a file's name leads out of the directory; the files are too many.
        """
        self._numbers += 1
        cell, process = await self.zygote.open(str(self._numbers), self.limits.output_bytes)
        made = Box(self, name, cell)
        self.boxes.append(made)
        try:
            return made, await made.settle(process, files)
        except BaseException:
            process.abandon()
            await made.end()
            raise


class Box:
    """The path of some processes, each with a directory; it goes when the last of them does."""

    def __init__(self, house: House, name: str, cell: Cell) -> None:
        self.house = house
        self.name = name
        self.interpreters: set[ForkedInterpreter] = set()
        self.forking = asyncio.Lock()
        self._cell = cell
        self._path = asyncio.Lock()
        self._places = 0

    async def settle(self, process: Process, files: Sequence[File]) -> Turn:
        """Put the first process into its directory. Raises SandboxError."""
        place = self.place()
        try:
            place.make()
            for file in files:
                reach.place_file(place.aside, file.name, self.house.desk.read(file), READ_ONLY)
            workdir.list_files(place.aside, self.house.caps)
        except (OSError, workdir.TreeTooLarge) as error:
            raise FilesError(f"box {self.name!r}: the task's files: {self._in_words(error)}") from error
        await process.arrive()
        return self.turn(place, process)

    def place(self) -> workdir.Place:
        """A directory that does not exist yet."""
        self._places += 1
        directory = self._cell.directory
        return workdir.Place(
            directory / "turn" / "work", directory / "aside" / str(self._places), self._cell.work, self._cell.own
        )

    def turn(self, place: workdir.Place, process: Process) -> Turn:
        """A claim to the path."""
        return Turn(self._path, place, process)

    async def sweep(self) -> None:
        """Kill whatever lives in the box and is none of its states; where that does not help, end the box.

        States that lived in a box that was ended are rebuilt from their journals. Nothing is done while one of them
        forks: the child is not known yet.
        """
        until = time.monotonic() + SWEEP_S
        while not self.forking.locked() and (strangers := self._strangers()):
            if time.monotonic() > until:
                return _kill(self._cell.init)
            for pid in strangers:
                _kill(pid)
            await asyncio.sleep(0.01)

    async def leave(self, interpreter: ForkedInterpreter, turn: Turn) -> None:
        """End a process and remove its directory; with the last of them goes the box."""
        try:
            await turn.process.kill()
        finally:
            turn.process.abandon()
            try:
                await asyncio.to_thread(turn.place.remove)  # it may be deep and wide
            finally:
                self.interpreters.remove(interpreter)
                if not self.interpreters:
                    await self.end()

    async def end(self) -> None:
        """End everything in the box and forget it."""
        if self in self.house.boxes:
            self.house.boxes.remove(self)
            await self.house.zygote.evict(self._cell)

    def _in_words(self, error: Exception) -> str:
        if isinstance(error, OSError) and error.errno != errno.ENOSPC:
            return str(error)
        limits = self.house.limits
        return (
            f"they do not fit into the working directory; raise sandbox.disk_mb ({limits.disk_mb}) or"
            f" sandbox.disk_files ({limits.disk_files})"
        )

    def _strangers(self) -> set[int]:
        return self._cell.members() - {interpreter.pid for interpreter in self.interpreters}


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
