"""Batches that do not depend on timing: a batch runs when every open lane is asking. Knows nothing of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

_lanes: ContextVar[frozenset[object]] = ContextVar("sport_lanes", default=frozenset())


@dataclass
class Waiting(Generic[Q, A]):
    """A request in the queue, with the lane it came from and the place where its answer will appear."""

    order: int
    request: Q
    lane: object | None
    answer: asyncio.Future[A]


class Batcher(Generic[Q, A]):
    """Gathers requests and hands them to ``run`` in batches, one batch at a time, sorted by their order.

    With open lanes a batch runs once all of them are asking; a request from outside any lane joins the next batch.
    Without open lanes it runs at once. A lane is known by its context, so that tasks started inside it count as it.
    What ``run`` raises is raised by every request of its batch.
    """

    def __init__(self, run: Callable[[list[Waiting[Q, A]]], Awaitable[None]]) -> None:
        self._run = run
        self._open: set[object] = set()
        self._queue: list[Waiting[Q, A]] = []
        self._running: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[None]:
        """Open for as long as its coroutine may still ask."""
        mine = object()
        self._open.add(mine)
        _lanes.set(_lanes.get() | {mine})
        try:
            yield
        finally:
            _lanes.set(_lanes.get() - {mine})
            self._open.discard(mine)
            self._look()

    async def ask(self, order: int, request: Q) -> A:
        """Wait for this request's answer."""
        loop = asyncio.get_running_loop()
        lane = next(iter(self._open & _lanes.get()), None)
        waiting: Waiting[Q, A] = Waiting(order, request, lane, loop.create_future())
        self._queue.append(waiting)
        # Only after all that is ready now has run: lanes that open in the same breath belong to the first batch.
        loop.call_soon(self._look)
        return await waiting.answer

    def _look(self) -> None:
        self._queue = [waiting for waiting in self._queue if not waiting.answer.done()]
        if self._running or not self._queue or self._open - {waiting.lane for waiting in self._queue}:
            return
        batch, self._queue = sorted(self._queue, key=lambda waiting: waiting.order), []
        self._running = asyncio.get_running_loop().create_task(self._finish(batch))

    async def _finish(self, batch: list[Waiting[Q, A]]) -> None:
        try:
            await self._run(batch)
        except Exception as error:
            asking = [waiting.answer for waiting in batch if not waiting.answer.done()]
            for answer in asking:
                answer.set_exception(error)
            if not asking:  # nobody is left to tell; the event loop reports it
                raise
        finally:
            for waiting in batch:
                waiting.answer.cancel()  # no effect on those that are answered
            self._running = None
            self._look()
