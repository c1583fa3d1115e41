"""The sandbox that forks: a zygote, a box per trajectory, a process per candidate.

Isolated here: variables, imports, files of the working directory, offsets of open files, environment, current
directory, output. Limited here: the time of a step, its output, its tool calls, and what it leaves in the directory.
The walls around a box are :mod:`~sport.sandbox.layers`; what they do not promise stands in docs/SECURITY.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sport.config import SandboxSection
from sport.errors import SandboxError, boundary
from sport.sandbox import workdir
from sport.sandbox.base import Entry
from sport.sandbox.box import House, Source
from sport.sandbox.interpreter import ForkedInterpreter, fresh, replayed
from sport.sandbox.launch import Zygote
from sport.sandbox.layers.report import Layer
from sport.sandbox.names import check_names
from sport.sandbox.toolcalls import Desk, PutFile
from sport.tools.base import CallTool
from sport.types import File, ReadFile, ToolSpec


class ForkedSandbox:
    """A :class:`~sport.sandbox.base.Sandbox` of forked processes. Linux only.

    ``root`` is a directory in which one named ``boxes`` is made; without it a private directory is. Either is removed
    at :meth:`stop`, and by the zygote when the host is killed. ``call`` runs tools, ``put`` stores bytes, ``read``
    gives them back.

    Raises:
        ConfigError: a tool's name cannot be a function's, or two tools have one.
    """

    source: type[Source] = Zygote
    """Where processes come from."""

    def __init__(
        self,
        *,
        root: Path | None = None,
        specs: Sequence[ToolSpec] = (),
        call: CallTool,
        put: PutFile,
        read: ReadFile,
        limits: SandboxSection,
    ) -> None:
        check_names(spec.name for spec in specs)
        self.limits = limits
        self.zygote: Source = type(self).source()
        self._specs = tuple(specs)
        self._root = root
        self._home: Path | None = None
        self._opening: set[str] = set()
        self._reviving = asyncio.Lock()
        self._house = House(self.zygote, Desk(specs, call, put, read), limits)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What is around each box, once started: every layer, tried."""
        return self.zygote.layers

    async def start(self) -> None:
        """Boot the zygote.

        Raises:
            ConfigError: a library is missing, or this machine has no walls that are thick enough.
            SandboxError: it did not come up, or ``root`` holds the boxes of another run.
        """
        await self._boot()

    async def _boot(self) -> None:
        self._home = workdir.fresh_root() if self._root is None else workdir.own_root(self._root)
        try:
            await self.zygote.start(self._home, self.limits, self._specs)
        except BaseException:
            self._remove_home()
            raise

    async def _revive(self) -> None:
        """Boot again where the zygote has died. All boxes died with it; states are rebuilt from their journals."""
        async with self._reviving:
            if self.zygote.dead:
                await self.zygote.stop()
                self._remove_home()
                await self._boot()

    async def open(self, box: str, files: Sequence[File] = ()) -> ForkedInterpreter:
        """A fresh state. Raises SandboxError when a box of that name is open, or a file's name leads out of it."""
        await self._revive()
        with self._named(box):
            return await fresh(self._house, box, files)

    async def restore(self, box: str, files: Sequence[File], journal: Sequence[Entry]) -> ForkedInterpreter:
        """A state rebuilt by replay; see :class:`~sport.sandbox.base.Sandbox`."""
        await self._revive()
        with self._named(box):
            return await replayed(self._house, box, files, journal)

    async def stop(self) -> None:
        """Close every interpreter, end the zygote with all that came from it, and remove the directories."""
        for box in list(self._house.boxes):
            for interpreter in list(box.interpreters):
                with boundary("sandbox.stop", SandboxError):  # a zygote that is gone took every process along
                    await interpreter.close()
        await self.zygote.stop()
        self._remove_home()

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        if self._home is None:
            raise SandboxError("the sandbox is not running; call start() first")
        if name in self._opening or any(box.name == name for box in self._house.boxes):
            raise SandboxError(f"box {name!r} is open already; close its interpreters first")
        self._opening.add(name)
        try:
            yield
        finally:
            self._opening.remove(name)

    def _remove_home(self) -> None:
        if self._home is not None:
            workdir.remove(self._home)
            self._home = None
