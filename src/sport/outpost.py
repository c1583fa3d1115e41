"""A worker of a cluster: it explores trajectories with a sandbox, tools and engines of its own, and tells what it did.

It writes to no run. What it would commit comes out of :meth:`Outpost.work` as events, in the order in which they
happened, for the one writer on the driver's machine. What it works on lies in a temporary store of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sport import wire
from sport.agent.code import CodeAgent
from sport.agent.fleet import trajectory_id
from sport.config import Config
from sport.events import Silent
from sport.explore import template
from sport.kit import Kit
from sport.sandbox.layers.report import vector
from sport.store import Store
from sport.types import Candidate, End, File, Observation, Record, Spent, Step, Task


class Event(NamedTuple):
    """A commit: the store's method, its arguments, and files that it names, which come to lie in the store before."""

    name: str
    arguments: tuple[Any, ...]
    files: tuple[tuple[File, bytes], ...] = ()


COMMITS = frozenset({"asked", "sampled", "observed", "decided", "ended"})
"""Names of events that are methods of the store; the others are ``spent`` and ``walls``."""


@dataclass(frozen=True)
class Item:
    """A trajectory to carry to its end: its task and all that is known of it. ``key`` is for the informed critic."""

    task: Task
    key: Any
    iteration: int
    order: int
    steps: tuple[Step, ...] = ()
    partial: Step | None = None
    files: tuple[tuple[File, bytes], ...] = field(default=(), repr=False)


def files_of(record: Record) -> Iterator[File]:
    """Every file that a record names, in whatever field; file arguments of tool calls under the name they had."""

    def walk(value: Any) -> Iterator[File]:
        if isinstance(value, Mapping):
            if {"sha256", "size", "media_type"} <= value.keys():
                yield File.model_validate(value)
            elif value.keys() == {"file", "name"}:
                yield File(name=value["name"], sha256=value["file"], size=0, media_type="application/octet-stream")
            else:
                for inner in value.values():
                    yield from walk(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from walk(inner)

    yield from walk(record.model_dump())


class Relay(Store):
    """A store that also tells every commit to whoever listens for its trajectory."""

    listeners: dict[str, asyncio.Queue[Event | None]]
    told: set[str]
    spending: dict[str, Spent]

    def asked(self, trajectory: str, step: int) -> None:
        """See :class:`~sport.trees.Trees`."""
        super().asked(trajectory, step)
        self._tell("asked", trajectory, step)

    def sampled(self, trajectory: str, step: int, candidates: Sequence[Candidate]) -> None:
        """See :class:`~sport.trees.Trees`."""
        super().sampled(trajectory, step, candidates)
        self._tell("sampled", trajectory, step, tuple(candidates))

    def observed(self, trajectory: str, step: int, candidate: int, observation: Observation) -> None:
        """See :class:`~sport.trees.Trees`."""
        super().observed(trajectory, step, candidate, observation)
        self._tell("observed", trajectory, step, candidate, observation, named=observation)

    def decided(self, trajectory: str, step: Step) -> None:
        """See :class:`~sport.trees.Trees`."""
        super().decided(trajectory, step)
        self._tell("decided", trajectory, step)

    def ended(self, trajectory: str, end: End) -> None:
        """See :class:`~sport.trees.Trees`."""
        super().ended(trajectory, end)
        self._tell("ended", trajectory, end)

    def set_spent(self, role: str, spent: Spent) -> None:
        """Kept here, and told with the next trajectory that ends."""
        self.spending[role] = spent

    def take(self, name: str, item: Item) -> None:
        """Put an item here as if it had been made here; nobody is told."""
        for file, data in item.files:
            self.put(file.name, data, file.media_type)
        ordinal = len(self.tasks("explore", kept=False))
        if self.split_of(item.task.id) is None:
            self.add_task(item.task, item.key, split="explore", iteration=item.iteration, ordinal=ordinal)
        self.begin(name, item.task.id, "explore", item.iteration, item.order)
        for step in (*item.steps, *([item.partial] if item.partial else [])):
            super().sampled(name, step.index, step.candidates)
            if step is not item.partial:
                super().decided(name, step)

    def _tell(self, name: str, trajectory: str, *rest: Any, named: Record | None = None) -> None:
        files = []
        for file in files_of(named) if named is not None else ():
            if file.sha256 not in self.told:
                self.told.add(file.sha256)
                files.append((file, self.read(file)))
        self.listeners[trajectory].put_nowait(Event(name, (trajectory, *rest), tuple(files)))


class Outpost:
    """One worker. Ray makes an actor of it; it knows nothing of Ray."""

    def __init__(self, config: str) -> None:
        """``config`` is a :class:`~sport.config.Config` as JSON."""
        self._folder = Path(tempfile.mkdtemp(prefix="sport-outpost-"))
        made = Relay.create(self._folder / "run", Config.model_validate_json(config))
        assert isinstance(made, Relay)
        self._store: Relay = made
        self._store.listeners, self._store.told, self._store.spending = {}, set(), {}
        self._kit: Kit | None = None

    async def start(self) -> tuple[int, dict[str, str]]:
        """Boot everything; this process's id, and what is around model-written code here."""
        self._kit = kit = await asyncio.to_thread(wire.build, self._store, Silent())
        async with asyncio.TaskGroup() as group:
            group.create_task(kit.tools.start())
            group.create_task(kit.sandbox.start())
        return os.getpid(), vector(kit.sandbox.layers)

    async def use(self, adapter: Mapping[str, bytes] | None, name: str) -> None:
        """Answer with an adapter, given as its files, from now on; None is the plain model."""
        assert self._kit is not None
        if adapter is None:
            return await self._kit.llm.use(None)
        folder = self._folder / "adapters" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in adapter.items():
            (folder / file).write_bytes(data)
        await self._kit.llm.use(folder)

    async def work(self, item: Item) -> AsyncIterator[Event]:
        """Carry a trajectory to its end; what is to be committed, as it happens.

        Raises:
            FatalModelError: a model cannot be used at all.
        """
        assert self._kit is not None
        name = trajectory_id("explore", item.iteration, item.task)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._store.listeners[name] = events
        running = asyncio.create_task(self._run(self._kit, name, item, events))
        try:
            while (event := await events.get()) is not None:
                yield event
            await running
            for role, spent in self._store.spending.items():
                yield Event("spent", (role, spent))
        finally:
            running.cancel()
            await asyncio.wait([running])
            del self._store.listeners[name]

    async def _run(self, kit: Kit, name: str, item: Item, events: asyncio.Queue[Event | None]) -> None:
        config = self._store.config
        agent = CodeAgent(
            kit.llm, kit.dialect, kit.sandbox, self._store, config.agent, seed=config.seed, iteration=item.iteration,
            n=config.explore.n, sampling=template(config.explore), judge=kit.critic.judge,
        )  # fmt: skip
        try:
            self._store.take(name, item)
            async with kit.llm.lane():
                await agent.run(name, item.task, item.order, item.steps, item.partial)
        finally:
            events.put_nowait(None)

    async def stop(self) -> None:
        """Put everything away."""
        if self._kit is not None:
            await self._kit.sandbox.stop()
            await self._kit.tools.stop()
        self._store.close()
        shutil.rmtree(self._folder, ignore_errors=True)
