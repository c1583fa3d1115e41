"""What a whole run is handed: the concrete parts, seen through their Protocols, and how they boot.

``wire`` fills it; ``loop``, ``exam`` and ``ask`` use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sport.config import Config
from sport.dialect import Dialect
from sport.events import Progress
from sport.llm.base import LLM
from sport.sandbox.base import Sandbox
from sport.sandbox.layers.report import tier, vector
from sport.store import Store
from sport.synth.base import Checker, Writer
from sport.types import Json, Pair, Task, ToolSpec, Trajectory
from sport.verify.base import Critic


class Tools(Protocol):
    """The tools' processes."""

    async def start(self) -> None:
        """Boot the workers."""

    async def stop(self) -> None:
        """Leave nothing behind."""


class Tune(Protocol):
    """The tuning stage. It blocks for long and is called on a thread of its own."""

    def __call__(
        self, iteration: int, trajectories: Sequence[Trajectory], pairs: Sequence[Pair], previous: Path | None
    ) -> tuple[Path | None, dict[str, Json]]:
        """Tune on ``pairs``, going on from the adapter ``previous``.

        Returns the new adapter (None: there was nothing to tune on) and figures worth noting.
        """
        ...


class Imitate(Protocol):
    """Supervised tuning. It blocks for long and is called on a thread of its own."""

    def __call__(self, trajectories: Sequence[Trajectory]) -> tuple[Path, dict[str, Json]]:
        """Tune on the trunks of ``trajectories``; returns the adapter and figures worth noting."""


class Spread(Protocol):
    """Exploration on other machines."""

    async def __call__(self, tasks: Sequence[Task], iteration: int) -> None:
        """Bring the trajectory of every task to its end; everything lands in the run's store."""
        ...


@dataclass(frozen=True)
class Kit:
    """Store, engines, tools, sandbox and critic of one run.

    ``tune`` and ``imitate`` are None where weights are out of reach; ``specs`` tell of the tools. ``helpers`` are the
    models of other roles than the controller's; their connections are kept while stages run.

    ``similarity`` (cosine of two sentences) and ``judge`` (of answers) are None where no benchmark asks for them.
    ``spread`` explores in place of this process, where there is a cluster.
    """

    config: Config
    store: Store
    progress: Progress
    llm: LLM
    dialect: Dialect
    tools: Tools
    sandbox: Sandbox
    writer: Writer
    checker: Checker
    critic: Critic
    tune: Tune | None
    specs: tuple[ToolSpec, ...] = ()
    helpers: tuple[LLM, ...] = ()
    imitate: Imitate | None = None
    similarity: Callable[[str, str], float] | None = None
    judge: LLM | None = None
    spread: Spread | None = None


@asynccontextmanager
async def booted(kit: Kit) -> AsyncIterator[None]:
    """Tools and sandbox, booted side by side, and helpers connected; nothing of them is left afterwards.

    Raises:
        ConfigError: a tool cannot be loaded; inside an exception group.
        SandboxError: the sandbox cannot boot; likewise.
    """

    async def boot(starting: Awaitable[None]) -> None:
        await starting
        kit.progress.advance("boot")

    kit.progress.start("boot", 2, "services")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(boot(kit.tools.start()))
            group.create_task(boot(kit.sandbox.start()))
        kit.store.set_walls(vector(kit.sandbox.layers))
        kit.progress.finish("boot", tier(kit.sandbox.layers))
        async with AsyncExitStack() as connections:
            for helper in kit.helpers:
                await connections.enter_async_context(helper.lane())
            yield
    finally:
        await kit.sandbox.stop()
        await kit.tools.stop()
