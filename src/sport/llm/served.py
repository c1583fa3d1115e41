"""A controller that a server samples from while its weights are tuned here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sport.llm.base import LLM
from sport.types import Message, Sample, Sampling

GoLive = Callable[[Path], Awaitable[LLM]]
"""Makes servers answer with an adapter, and returns the engine that asks them for it."""


class ServedLLM(LLM):
    """Asks a server for the plain model, and for an adapter where the server can be taught it.

    Without ``go_live``, or once an adapter is in use that no server knows, the same weights on this machine answer:
    slower, and right. An adapter that was made here is thus never mixed up with the model that it changes.
    It is not checked that the server's weights are those of the local checkpoint.

    Args:
        server: answers with the plain model.
        local: the same model here.
        go_live: how an adapter comes to the servers.
    """

    def __init__(self, server: LLM, local: LLM, go_live: GoLive | None = None) -> None:
        self._server = server
        self._local = local
        self._go_live = go_live
        self._now = server

    async def sample(self, messages: Sequence[Message], n: int, sampling: Sampling) -> list[Sample]:
        """See :meth:`LLM.sample`; ``source`` of a sample tells who answered."""
        return await self._now.sample(messages, n, sampling)

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[None]:
        """A lane of whoever answers now."""
        async with self._now.lane():
            yield

    async def use(self, adapter: Path | None) -> None:
        """See :meth:`LLM.use`. The local model holds the adapter, too, so that tuning knows where it stands."""
        await self._local.use(adapter)
        if adapter is None:
            self._now = self._server
        else:
            self._now = await self._go_live(adapter) if self._go_live else self._local
