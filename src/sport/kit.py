"""What a whole run is handed: the concrete parts, seen through their Protocols. ``wire`` fills it, ``loop`` uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sport.config import Config
from sport.dialect import Dialect
from sport.events import Progress
from sport.llm.base import LLM
from sport.sandbox.base import Sandbox
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
