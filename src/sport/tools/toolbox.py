"""The tools of a run: one callable that checks, caches and shares calls, and never raises for what a tool does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sport.errors import ConfigError, ToolError
from sport.tools.arguments import bind, key
from sport.tools.base import Answered, FileBytes
from sport.tools.cache import Cache, dump, parse
from sport.tools.entry import ToolEntry
from sport.tools.guard import check_size
from sport.tools.pool import Pool, WorkerError
from sport.types import ToolSpec


class Toolbox:
    """Runs tools in a pool of worker processes.

    What a tool returns or says no to is cached by (tool, version, arguments, file hash). A worker's death, a missed
    deadline and a bug in a tool are not: the next equal call tries again. Equal calls in flight share one run.
    Whether an answer is marked ``cached`` depends on timing, as ``wall_s`` does.

    Args:
        tools: distinct names.
        workers: processes; so many calls run at once.
        deadline_s: for one call, from when a worker has loaded the tool.
        memory_mb: MiB of private memory per worker.
        cache: where answers are kept.

    Raises:
        ConfigError: two tools of one name.
    """

    def __init__(
        self, tools: Sequence[ToolEntry], *, workers: int, deadline_s: float, memory_mb: int, cache: Cache
    ) -> None:
        self._entries = {entry.spec.name: entry for entry in tools}
        if len(self._entries) < len(tools):
            raise ConfigError("tools.names: the same name twice")
        self._deadline_s = deadline_s
        self._cache = cache
        self._pool = Pool(workers, memory_mb)
        self._in_flight: dict[str, asyncio.Task[Answered]] = {}
        self._stopped = False

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What models are told, in the order given."""
        return tuple(entry.spec for entry in self._entries.values())

    async def start(self) -> None:
        """Load every tool in every worker, so that a tool that cannot work is known before the run begins.

        Raises:
            ConfigError: a tool cannot be loaded, and why.
        """
        self._stopped = False
        reason: BaseException
        try:
            await self._pool.warm(tuple(self._entries.values()))
        except* WorkerError as group:
            reason = group.exceptions[0]
        else:
            return
        await self._pool.stop()
        raise ConfigError(f"tools.names: cannot load {reason}") from reason

    async def stop(self) -> None:
        """End all workers; whoever still waits gets an error text, and so does whoever calls later."""
        self._stopped = True
        running = list(self._in_flight.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._pool.stop()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answered:
        """One call (a :data:`~sport.tools.base.CallTool`): file arguments are FileBytes, the rest is JSON.

        Whatever a tool, its worker or the arguments do wrong comes back as ``error``, worded for the model.
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
        if (text := self._cache.get(hashed)) is not None:
            return parse(text)
        if (shared := self._in_flight.get(hashed)) is not None:
            answer = await self._wait(shared)
            return Answered(answer.value, answer.files, answer.error, cached=answer.error is None)
        return await self._wait(self._begin(hashed, entry, bound))

    def _begin(self, hashed: str, entry: ToolEntry, bound: Mapping[str, Any]) -> asyncio.Task[Answered]:
        """A run that belongs to nobody: it goes on when whoever asked first has given up."""
        if self._stopped:
            raise ToolError("the tools were stopped")
        task = asyncio.create_task(self._run(hashed, entry, bound))
        self._in_flight[hashed] = task
        task.add_done_callback(lambda _: self._in_flight.pop(hashed))
        return task

    async def _run(self, hashed: str, entry: ToolEntry, bound: Mapping[str, Any]) -> Answered:
        try:
            async with self._pool.worker() as worker:
                output = await worker.call(entry, bound, self._deadline_s)
            answer = Answered(output.value, output.files)
        except ToolError as error:
            answer = Answered(error=f"{entry.spec.name}(): {error}")
        except WorkerError as error:
            return Answered(error=f"{entry.spec.name}() failed: {error}")
        self._cache.put(hashed, dump(answer))
        return answer

    async def _wait(self, task: asyncio.Task[Answered]) -> Answered:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not task.cancelled() or (current is not None and current.cancelling()):
                raise
            raise ToolError("the tools were stopped") from None
