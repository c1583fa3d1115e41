"""Host: a box - one trajectory's processes, the path on which they take turns, and their directories."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox import workdir
from sport.sandbox.launch import Zygote
from sport.sandbox.process import Process
from sport.sandbox.toolcalls import Desk
from sport.sandbox.turn import Turn
from sport.types import File

if TYPE_CHECKING:
    from sport.sandbox.interpreter import ForkedInterpreter

READ_ONLY = 0o444


class House:
    """What all boxes of a sandbox share: where processes come from, the desk for tools and files, and the limits."""

    def __init__(self, zygote: Zygote, desk: Desk, limits: SandboxSection) -> None:
        self.zygote = zygote
        self.desk = desk
        self.limits = limits
        self.caps = workdir.caps(limits)
        self.home: Path | None = None
        self.boxes: list[Box] = []
        self._numbers = 0

    def box(self, name: str) -> Box:
        """A box with a directory of its own; several may have one name. Raises SandboxError before the start."""
        if self.home is None:
            raise SandboxError("the sandbox is not running; call start() first")
        self._numbers += 1
        directory = self.home / str(self._numbers)
        directory.mkdir()
        made = Box(self, name, directory)
        self.boxes.append(made)
        return made


class Box:
    """The path of some processes, each with a directory; it goes when the last of them does."""

    def __init__(self, house: House, name: str, directory: Path) -> None:
        self.house = house
        self.name = name
        self.directory = directory
        self.interpreters: set[ForkedInterpreter] = set()
        self._path = asyncio.Lock()
        self._places = 0

    async def first(self, files: Sequence[File]) -> Turn:
        """The process that all others come from, with ``files`` in its directory, read-only.

        Raises:
            SandboxError: it cannot be started; a file's name leads out of the directory; the files are too many.
        """
        place = self.place()
        try:
            place.aside.mkdir()
            (place.aside / ".tmp").mkdir()
            for file in files:
                workdir.place_file(place.aside, file.name, self.house.desk.read(file), READ_ONLY)
            workdir.list_files(place.aside, self.house.caps)
            process = await self.house.zygote.open(place.work, self.house.limits.output_bytes)
        except (OSError, workdir.TreeTooLarge) as error:
            self.discard(place)
            raise SandboxError(f"box {self.name!r}: the task's files: {error}") from error
        except BaseException:
            self.discard(place)
            raise
        process.rest()
        return self.turn(place, process)

    def place(self) -> workdir.Place:
        """A directory that does not exist yet."""
        self._places += 1
        work = self.directory / "work"
        return workdir.Place(work=work, aside=self.directory / str(self._places), seen=str(work))

    def turn(self, place: workdir.Place, process: Process) -> Turn:
        """A claim to the path."""
        return Turn(self._path, place, process)

    def discard(self, place: workdir.Place) -> None:
        """Remove a directory, and the box with the last of them."""
        place.remove()
        if not self.interpreters and self in self.house.boxes:
            self.house.boxes.remove(self)
            workdir.remove(self.directory)
