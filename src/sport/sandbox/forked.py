"""The sandbox that forks: a zygote, a box per trajectory, a process per candidate (SANDBOX.md, "Processes").

Isolated here: variables, imports, files of the working directory, offsets of open files, environment, current
directory, output. Limited here: wall-clock time, output and address space of a step. Not contained here: code that
attacks the host, the network, or files outside its directory; those walls are put up at the places marked WALL.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable, Sequence
from pathlib import Path

from sport.config import SandboxSection
from sport.errors import ConfigError, SandboxError, boundary
from sport.sandbox import workdir
from sport.sandbox.base import Entry
from sport.sandbox.box import Box, House
from sport.sandbox.interpreter import ForkedInterpreter, fresh, replayed
from sport.sandbox.launch import Zygote
from sport.sandbox.toolcalls import Desk, PutFile
from sport.tools.base import CallTool
from sport.types import File, ReadFile, ToolSpec

TAKEN = frozenset({"final_answer", "ToolError", *dir(builtins)})


class ForkedSandbox:
    """A :class:`~sport.sandbox.base.Sandbox` of forked processes. Linux only.

    ``root`` is a directory in which one named ``boxes`` is made; without it a private directory is. Either is removed
    at :meth:`stop`, and by the zygote when the host is killed. ``call`` runs tools, ``put`` stores bytes, ``read``
    gives them back.

    Raises:
        ConfigError: a tool's name cannot be a function's, or two tools have one.
    """

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
        self.zygote = Zygote()
        self._specs = tuple(specs)
        self._root = root
        self._house = House(self.zygote, Desk(specs, call, put, read), limits)

    async def start(self) -> None:
        """Boot the zygote.

        Raises:
            SandboxError: it cannot import a library, or ``root`` holds the boxes of another run.
        """
        home = workdir.fresh_root() if self._root is None else workdir.own_root(self._root)
        self._house.home = home
        try:
            await self.zygote.start(home, self.limits.libraries, self._specs, self.limits.memory_mb << 20)
        except SandboxError:
            self._remove_home()
            raise

    async def open(self, box: str, files: Sequence[File] = ()) -> ForkedInterpreter:
        """A fresh state. Raises SandboxError when a box of that name is open, or a file's name leads out of it."""
        return await fresh(self._box(box), files)

    async def restore(self, box: str, files: Sequence[File], journal: Sequence[Entry]) -> ForkedInterpreter:
        """A state rebuilt by replay; see :class:`~sport.sandbox.base.Sandbox`."""
        return await replayed(self._box(box), files, journal)

    async def stop(self) -> None:
        """Close every interpreter, end the zygote with all that came from it, and remove the directories."""
        for box in list(self._house.boxes):
            for interpreter in list(box.interpreters):
                with boundary("sandbox.stop", SandboxError):  # a zygote that is gone took every process along
                    await interpreter.close()
        await self.zygote.stop()
        self._remove_home()

    def _box(self, name: str) -> Box:
        if any(box.name == name for box in self._house.boxes):
            raise SandboxError(f"box {name!r} is open already; close its interpreters first")
        return self._house.box(name)

    def _remove_home(self) -> None:
        if self._house.home is not None:
            self._house.boxes.clear()
            workdir.remove(self._house.home)
            self._house.home = None


def check_names(names: Iterable[str]) -> None:
    """Raises ConfigError when tools cannot be functions inside under these names, and says why."""
    seen: set[str] = set()
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigError(
                f"tool {name!r}: the code calls a tool as a function; name it like one, such as 'my_tool'"
            )
        if name in TAKEN:
            raise ConfigError(
                f"tool {name!r}: the code would lose Python's or the sandbox's own {name}; rename the tool"
            )
        if name in seen:
            raise ConfigError(f"tool {name!r}: two tools of one name")
        seen.add(name)
