"""The tools of a run: one callable that checks, caches and shares calls, and never raises for what a tool does."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from sport.errors import ConfigError, FatalModelError, ModelError, ToolError
from sport.tools.arguments import bind, key
from sport.tools.base import Answered, FileBytes, ToolOutput
from sport.tools.cache import Cache, dump, parse
from sport.tools.entry import Entry, Hosted, ToolEntry
from sport.tools.gate import Accounts, Gate
from sport.tools.guard import check_size
from sport.tools.pool import Pool, WorkerError
from sport.types import ToolSpec


class Toolbox:
    """Runs tools in pools of worker processes, those with limits of their own in processes of their own.

    What a tool returns or says no to is cached by (tool, version, arguments, file hash). A worker's death, a missed
    deadline and a bug in a tool are not: the next equal call tries again. Equal calls in flight share one run, unless
    the tool says that equal calls are not equal. Whether an answer is marked ``cached`` depends on timing, as
    ``wall_s`` does.

    Args:
        tools: distinct names.
        workers: processes of the tools without limits of their own; so many calls of those run at once.
        deadline_s: for one call, from when a worker has loaded the tool.
        memory_mb: MiB of private memory per worker.
        cache: where answers are kept.
        accounts: where the cost of tools that have one is kept; without it, they are free.

    Raises:
        ConfigError: two tools of one name.
    """

    def __init__(
        self,
        tools: Sequence[Entry],
        *,
        workers: int,
        deadline_s: float,
        memory_mb: int,
        cache: Cache,
        accounts: Accounts | None = None,
    ) -> None:
        self._entries = {entry.spec.name: entry for entry in tools}
        if len(self._entries) < len(tools):
            raise ConfigError("tools.names: the same name twice")
        self._deadline_s = deadline_s
        self._cache = cache
        self._gates = {name: Gate(name, entry.limits, accounts) for name, entry in self._entries.items()}
        self._pools = {"": Pool(workers, memory_mb)}
        for one in self._inside:
            limits = one.limits
            if limits.group not in self._pools:
                self._pools[limits.group] = Pool(limits.concurrency or 1, limits.memory_mb or memory_mb, limits.env)
        hosted = (entry for entry in tools if isinstance(entry, Hosted) and entry.limits.concurrency is not None)
        self._slots = {entry.spec.name: asyncio.Semaphore(entry.limits.concurrency or 1) for entry in hosted}
        self._in_flight: dict[str, asyncio.Task[Answered]] = {}
        self._stopped = False

    @property
    def _inside(self) -> list[ToolEntry]:
        """Those that workers run."""
        return [entry for entry in self._entries.values() if isinstance(entry, ToolEntry)]

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What models are told, in the order given."""
        return tuple(entry.spec for entry in self._entries.values() if entry.shown)

    async def start(self) -> None:
        """Load every tool in every worker, so that a tool that cannot work is known before the run begins.

        Raises:
            ConfigError: a tool cannot be loaded, and why.
        """
        self._stopped = False
        reason: BaseException
        try:
            async with asyncio.TaskGroup() as group:
                for name, pool in self._pools.items():
                    group.create_task(pool.warm(tuple(one for one in self._inside if one.limits.group == name)))
        except* WorkerError as failed:
            reason = _first(failed)
        else:
            return
        await self._stop_pools()
        raise ConfigError(f"tools.names: cannot load {reason}") from reason

    async def stop(self) -> None:
        """End all workers; whoever still waits gets an error text, and so does whoever calls later."""
        self._stopped = True
        running = list(self._in_flight.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._stop_pools()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        """One call (a :data:`~sport.tools.base.CallTool`): file arguments are FileBytes, the rest is JSON.

        Whatever a tool, its worker or the arguments do wrong comes back as ``error``, worded for the model.

        Raises:
            FatalModelError: a budget is spent, or the model behind a tool refuses all calls: the run cannot go on.
        """
        start = time.perf_counter()
        try:
            answer = await self._answer(name, arguments)
        except ToolError as error:
            answer = Answered(error=str(error))
        return Answered(answer.value, answer.files, answer.error, answer.cached, time.perf_counter() - start)

    # ------------------------------------------------------------------------------------------- details

    async def _answer(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        entry = self._entries.get(name)
        if entry is None:
            raise ToolError(f"there is no tool {name!r}; there are {', '.join(self._entries) or 'none'}")
        bound = bind(entry.spec, arguments)
        for value in bound.values():
            if isinstance(value, FileBytes):
                check_size(value)
        hashed = key(entry.spec, bound)
        if not entry.limits.cache:
            return await self._wait(self._begin(uuid.uuid4().hex, entry, bound))
        if (text := self._cache.get(hashed)) is not None:
            return parse(text)
        if (shared := self._in_flight.get(hashed)) is not None:
            answer = await self._wait(shared)
            return Answered(answer.value, answer.files, answer.error, cached=answer.error is None)
        return await self._wait(self._begin(hashed, entry, bound))

    def _begin(self, hashed: str, entry: Entry, bound: Mapping[str, Any]) -> asyncio.Task[Answered]:
        """A run that belongs to nobody: it goes on when whoever asked first has given up."""
        if self._stopped:
            raise ToolError("the tools were stopped")
        task = asyncio.create_task(self._run(hashed, entry, bound))
        self._in_flight[hashed] = task
        task.add_done_callback(lambda _: self._in_flight.pop(hashed))
        return task

    async def _run(self, hashed: str, entry: Entry, bound: Mapping[str, Any]) -> Answered:
        try:
            output = await (self._ask(entry, bound) if isinstance(entry, Hosted) else self._work(entry, bound))
            answer = Answered(output.value, output.files)
        except ToolError as error:
            answer = Answered(error=f"{entry.spec.name}(): {error}")
        except WorkerError as error:
            return Answered(error=f"{entry.spec.name}() failed: {error}")
        if entry.limits.cache:
            self._cache.put(hashed, dump(answer))
        return answer

    async def _work(self, entry: ToolEntry, bound: Mapping[str, Any]) -> ToolOutput:
        """In a worker of the tool's group."""
        pool = self._pools[entry.limits.group]
        async with self._gates[entry.spec.name].call(), pool.worker() as worker:
            return await worker.call(entry, bound, entry.limits.deadline_s or self._deadline_s)

    async def _ask(self, entry: Hosted, bound: Mapping[str, Any]) -> ToolOutput:
        """Here. A model that fails for now is no answer of the tool's; one that fails for good ends the run."""
        try:
            async with self._slots.get(entry.spec.name, nullcontext()), self._gates[entry.spec.name].call():
                async with asyncio.timeout(entry.limits.deadline_s):
                    value = await entry.call(bound)
        except TimeoutError as error:
            raise WorkerError(f"no answer within {entry.limits.deadline_s:g} s") from error
        except FatalModelError:
            raise
        except ModelError as error:
            raise WorkerError(str(error)) from error
        return value if isinstance(value, ToolOutput) else ToolOutput(value=value)

    async def _stop_pools(self) -> None:
        for pool in self._pools.values():
            await pool.stop()

    async def _wait(self, task: asyncio.Task[Answered]) -> Answered:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not task.cancelled() or (current is not None and current.cancelling()):
                raise
            raise ToolError("the tools were stopped") from None


def _first(group: BaseExceptionGroup[WorkerError]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
