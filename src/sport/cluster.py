"""Exploration on many machines, by Ray: workers explore, the driver alone writes.

A worker (:mod:`sport.outpost`) is a Ray actor that has its own sandbox, tools and engines. It is handed one trajectory
after another and streams what it does; the driver commits each event as it comes. When a worker dies, its trajectories
go to others with all that was committed of them. Workers come and go with the cluster while an exploration lasts.

Evaluation, pairs and tuning stay with the driver. Not covered: a disk that machines share, and a driver that dies (its
run is resumed like any other).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sport.agent.fleet import trajectory_id
from sport.agent.running import together
from sport.config import Endpoint
from sport.errors import ConfigError, RunError
from sport.kit import Kit
from sport.llm.ledger import Ledger
from sport.outpost import COMMITS, Event, Item, Outpost, files_of
from sport.sandbox.layers.report import vector
from sport.store import Store
from sport.types import End, Spent, Task

LOOK_S = 2.0  # how often the cluster is asked whether it has grown
ON_WORKERS = " on workers"  # whose spending is kept apart: the driver's own engines count for themselves
KNOCK_S = 10.0
TRIES = 3  # workers that may die with a trajectory before it is given up


async def _knock(address: str) -> None:
    """Ray itself looks for minutes for a cluster that is not there. Raises ConfigError."""
    found = re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d+)", address)
    if found is None:  # "auto" and "local" name no place
        return
    try:
        async with asyncio.timeout(KNOCK_S):
            _, writer = await asyncio.open_connection(found[1], int(found[2]))
    except (OSError, TimeoutError) as error:
        why = str(error) or f"no answer within {KNOCK_S:g} s"
        raise ConfigError(f"--ray {address}: no cluster answers there ({why}); start one: ray start --head") from error
    writer.close()


@asynccontextmanager
async def joined(address: str, kit: Kit) -> AsyncIterator[Kit]:
    """The same kit, exploring on the cluster at ``address``: "auto", "local" (one of this machine's own), or host:port.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers there.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--ray: Ray is not installed; pip install 'sport[ray]'") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    await _knock(address)
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 256 << 20} if address == "local" else {}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, namespace="sport", **own)
    except Exception as error:  # Ray raises bare ones, too
        raise ConfigError(
            f"--ray {address}: no cluster answers there ({error}); start one: ray start --head"
        ) from error
    try:
        yield replace(kit, spread=Cluster(kit, ray))
    finally:
        ray.shutdown()


class Cluster:
    """Explores on a cluster that was joined. Budgets of endpoints count over all workers."""

    def __init__(self, kit: Kit, ray: Any) -> None:
        self._kit = kit
        self._ray = ray
        self._config = kit.config
        self._settings = kit.config.cluster
        self._spent_before = kit.store.spenders()
        self._spent: dict[tuple[str, int], Spent] = {}

    async def __call__(self, tasks: Sequence[Task], iteration: int) -> None:
        """Bring the trajectory of every task to its end.

        Raises:
            FatalModelError: a model cannot be used at all, or a budget is spent.
            RunError: workers die faster than they work.
        """
        work = Work(self._kit.store, tasks, iteration)
        progress = self._kit.progress
        progress.start("explore", len(tasks), "tasks")
        progress.advance("explore", len(tasks) - work.left)
        adapter = _files(self._kit.store, iteration - 1)
        try:
            await self._supervise(work, adapter, f"{iteration - 1:02d}")
        finally:
            self._kit.store.set_walls(vector(self._kit.sandbox.layers))  # what is evaluated next runs here
        progress.finish("explore")

    def _room(self) -> int:
        """How many workers the cluster has room for now."""
        if self._settings.workers is not None:
            return self._settings.workers
        held = self._ray.cluster_resources()
        by_cpu = held.get("CPU", 0.0) / self._settings.cpus
        by_gpu = held.get("GPU", 0.0) / self._settings.gpus if self._settings.gpus else by_cpu
        return max(1, int(min(by_cpu, by_gpu)))

    async def _supervise(self, work: Work, adapter: dict[str, bytes] | None, name: str) -> None:
        """As many workers as there is room and need for, until all is done; a dead one is replaced."""
        living: set[asyncio.Task[None]] = set()
        number = 0
        try:
            while work.left:
                wanted = min(self._room(), -(-work.left // self._config.explore.in_flight))
                while work.waiting and len(living) < wanted:
                    number += 1
                    living.add(asyncio.create_task(self._worker(number, work, adapter, name)))
                done, living = await asyncio.wait(living, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
        finally:
            for one in living:
                one.cancel()
            if living:
                await asyncio.wait(living)

    async def _worker(self, number: int, work: Work, adapter: dict[str, bytes] | None, name: str) -> None:
        """One worker's life; returns when nothing is left for it, or when it has died."""
        in_flight = self._config.explore.in_flight
        options = {"num_cpus": self._settings.cpus, "num_gpus": self._settings.gpus}
        made = self._ray.remote(max_concurrency=in_flight + 2, max_restarts=0, **options)(Outpost)
        actor = made.remote(self._config.model_dump_json())
        held: list[Item] = []
        try:
            pid, walls = await actor.start.remote()
            await actor.use.remote(adapter, name)
            self._kit.store.log("worker", number=number, pid=pid)
            work.survived()
            await together(self._lane(actor, number, walls, work, held) for _ in range(in_flight))
            await actor.stop.remote()
        except self._ray.exceptions.RayActorError as error:
            self._kit.store.log("worker died", number=number, error=str(error).partition("\n")[0])
            for item in held:
                work.again(item)
            work.bury()
        finally:
            self._ray.kill(actor)

    async def _lane(self, actor: Any, number: int, walls: dict[str, str], work: Work, held: list[Item]) -> None:
        """One trajectory after another; ``held`` are those that the worker has now."""
        store = self._kit.store
        while (item := work.next(walls)) is not None:
            name = trajectory_id("explore", item.iteration, item.task)
            held.append(item)
            async for reference in actor.work.options(num_returns="streaming").remote(item):
                self.commit(await reference, number)
            held.remove(item)
            work.done()
            end = store.trajectory(name).end
            self._kit.progress.advance("explore", note=end.state if end else "")

    def commit(self, event: Event, number: int) -> None:
        """Write what worker ``number`` told. Raises BudgetError where it says that a budget is spent."""
        store = self._kit.store
        if event.name == "spent":
            return self._charge(number, *event.arguments)
        assert event.name in COMMITS
        for file, data in event.files:
            store.put(file.name, data, file.media_type)
        getattr(store, event.name)(*event.arguments)

    def _charge(self, number: int, role: str, spent: Spent) -> None:
        """Add up over workers and earlier attempts; stop the run where its budget is gone."""
        self._spent[role, number] = spent
        total = self._spent_before.get(role + ON_WORKERS, Spent())
        for (whose, _), one in self._spent.items():
            if whose == role:
                total = _sum(total, one)
        self._kit.store.set_spent(role + ON_WORKERS, total)
        section = getattr(self._config, role, None)
        settings = getattr(section, "endpoint", None)
        if isinstance(settings, Endpoint):
            both = _sum(total, self._kit.store.spent(role))
            Ledger(f"{role}.endpoint", settings, both, lambda _: None).allow()


class Work:
    """Trajectories that have not ended, and how often a worker died with each."""

    def __init__(self, store: Store, tasks: Sequence[Task], iteration: int) -> None:
        ended = store.finished("explore", iteration)
        self._store = store
        self._iteration = iteration
        pairs = [(order, task) for order, task in enumerate(tasks) if self._name(task) not in ended]
        self._todo = deque(pairs)
        self._losses: dict[str, int] = {}
        self._deaths = 0
        self.left = len(pairs)

    def _name(self, task: Task) -> str:
        return trajectory_id("explore", self._iteration, task)

    @property
    def waiting(self) -> int:
        """How many nobody works on."""
        return len(self._todo)

    def next(self, walls: dict[str, str]) -> Item | None:
        """The next one, to be gone on with behind these walls, with all that is known of it; None when nobody waits."""
        if not self._todo:
            return None
        order, task = self._todo.popleft()
        store, name = self._store, self._name(task)
        store.set_walls(walls)
        store.begin(name, task.id, "explore", self._iteration, order)
        steps, partial = store.trajectory(name).steps, store.partial(name)
        named = {file.sha256: file for record in (task, *steps) for file in files_of(record)}
        files = tuple((file, store.read(file)) for file in named.values())
        return Item(task, store.key(task.id), self._iteration, order, steps, partial, files)

    def again(self, item: Item) -> None:
        """Its worker died. It goes to another, unless it has taken too many along."""
        name = self._name(item.task)
        if self._store.trajectory(name).end is not None:  # all but its last word had come
            return self.done()
        self._losses[name] = self._losses.get(name, 0) + 1
        if self._losses[name] < TRIES:
            return self._todo.appendleft((item.order, item.task))
        self._store.ended(name, End(state="failed", reason=f"SandboxError: {TRIES} workers died with it"))
        return self.done()

    def done(self) -> None:
        """One less."""
        self.left -= 1

    def survived(self) -> None:
        """A worker came up."""
        self._deaths = 0

    def bury(self) -> None:
        """A worker died. Raises RunError where none comes up any more."""
        self._deaths += 1
        if self._deaths > 2 * TRIES:
            raise RunError(f"--ray: {self._deaths} workers died in a row before they could work; see Ray's logs")


def _sum(one: Spent, other: Spent) -> Spent:
    cost = None if one.cost is None and other.cost is None else (one.cost or 0.0) + (other.cost or 0.0)
    faults = {name: one.faults.get(name, 0) + other.faults.get(name, 0) for name in {**one.faults, **other.faults}}
    sums = {
        name: getattr(one, name) + getattr(other, name)
        for name in ("calls", "unknown", "prompt_tokens", "completion_tokens")
    }
    return Spent(**sums, cost=cost, faults=faults)


def _files(store: Store, iteration: int) -> dict[str, bytes] | None:
    """The files of the adapter that came of an iteration; None for the plain model."""
    path = store.adapter(iteration)
    folder: Path = store.folder / path if path else store.folder
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()} if path else None
