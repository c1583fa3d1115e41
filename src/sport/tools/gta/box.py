"""GTA's tools around a tool box: what they need of it, and one callable for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from sport.errors import ToolError
from sport.tools.arguments import bind
from sport.tools.base import Answered, ToolOutput
from sport.tools.gta import code
from sport.tools.gta.base import Computer
from sport.tools.gta.engines import ENGINES, WORK, Engines
from sport.tools.gta.specs import SPECS
from sport.types import Json, ToolSpec

CODE: Mapping[str, Callable[[Mapping[str, Json], Computer], Awaitable[Json | ToolOutput]]] = {
    "Calculator": code.calculator,
    "Solver": code.solver,
    "Plot": code.plot,
}
"""Tools that are code in a box."""


class Box(Protocol):
    """A tool box."""

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What it holds."""
        ...

    async def start(self) -> None:
        """Boot it."""

    async def stop(self) -> None:
        """Leave nothing behind."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        """One call."""
        ...


def ours(names: Sequence[str]) -> tuple[str, ...]:
    """The tools of ours behind these names, each once: those that are no name of GTA's stay as they are.

    >>> ours(["OCR", "MathOCR", "CountGivenObject", "Calculator", "crop"])
    ('OCR', 'visualizer', 'crop')
    """
    found = [one for name in names for one in (() if name in CODE else ENGINES.get(name, (name,)))]
    return tuple(dict.fromkeys(found))


class GtaTools:
    """Names of GTA's beside names of ours, in the order in which the configuration has them.

    Args:
        names: of the configuration.
        inner: a box that holds :func:`ours` of them.
        computer: runs code behind the walls; it is only booted where Calculator, Solver or Plot is among the names.
    """

    def __init__(self, names: Sequence[str], inner: Box, computer: Computer) -> None:
        self._inner = inner
        self._computer = computer
        held = {spec.name: spec for spec in inner.specs}
        hidden = {one for name in names for one in ENGINES.get(name, ())} - set(names)
        plain = [spec.name for spec in inner.specs if spec.name not in hidden and spec.name not in names]
        self._specs = {
            name: SPECS[name] if name in CODE or name in ENGINES else held[name]
            for name in [*(one for one in names if one in SPECS or one in held), *plain]
        }
        self._engines = Engines(held, inner.call)

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What models are told."""
        return tuple(self._specs.values())

    async def start(self) -> None:
        """Boot box and computer. Raises ConfigError, SandboxError as they do."""
        await self._inner.start()
        if not CODE.keys().isdisjoint(self._specs):
            await self._computer.start()

    async def stop(self) -> None:
        """Leave nothing behind."""
        await self._computer.stop()
        await self._inner.stop()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        """A :data:`~sport.tools.base.CallTool`: what goes wrong comes back as ``error``."""
        if name not in self._specs:
            return Answered(error=f"there is no tool {name!r}; there are {', '.join(self._specs)}")
        if name not in CODE and name not in WORK:
            return await self._inner.call(name, arguments)
        try:
            bound = bind(self._specs[name], arguments)
            if name in CODE:
                made = await CODE[name](bound, self._computer)
            else:
                made = await WORK[name](bound, self._engines)
        except ToolError as error:
            return Answered(error=str(error))
        return Answered(made.value, made.files) if isinstance(made, ToolOutput) else Answered(made)
