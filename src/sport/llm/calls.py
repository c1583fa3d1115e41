"""One paid call with all its tries, whatever is asked for: texts, vectors or pictures. The one retry layer is here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import openai
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from sport.config import Endpoint
from sport.errors import FatalModelError, ModelError
from sport.llm.faults import Again, Faults, R, cause
from sport.llm.ledger import Ledger
from sport.llm.servers import Servers, check, key

PATIENCE = 5  # calls in a row that fail after all tries: then it is not what was asked, and the run stops


class Raw(Protocol):
    """A reply as the client hands it over, not yet read."""

    @property
    def text(self) -> str:
        """Its body."""
        ...


class Calls:
    """Calls of one endpoint: balanced, bounded, tried again, counted.

    Args:
        settings: of the endpoint.
        where: their place in the configuration, for messages ("controller.endpoint").
        ledger: counts what is charged.
        environment: where the key is looked up; it is kept in memory only.

    Raises:
        ConfigError: see :func:`sport.llm.servers.check` and :func:`sport.llm.servers.key`.
    """

    def __init__(
        self, settings: Endpoint, where: str, ledger: Ledger, environment: Mapping[str, str] = os.environ
    ) -> None:
        check(settings, where)
        secret = key(settings, where, environment)
        self._settings = settings
        self._ledger = ledger
        self._servers = Servers(settings, secret)
        self._faults = Faults(where, settings, secret)
        self._wait = wait_random_exponential(multiplier=0.5, max=settings.max_wait_s)
        self._failed = 0

    def open(self) -> AbstractAsyncContextManager[None]:
        """Connections stay open as long as anybody is inside."""
        return self._servers.open()

    async def make(self, send: Callable[[openai.AsyncOpenAI], Awaitable[Raw | str]], shape: type[R]) -> tuple[R, str]:
        """One call, tried again where that can help: the reply, and the server that gave it.

        Only inside :meth:`open`.

        Raises:
            OneAtATime: the server refuses n > 1.
            BudgetError: nothing is left to spend.
            ModelError: after all tries.
        """
        async with self._servers.slot():
            until = asyncio.get_running_loop().time() + self._settings.deadline_s
            retrying = AsyncRetrying(
                retry=retry_if_exception_type(Again),
                wait=self._pause,
                stop=stop_after_attempt(self._settings.tries) | stop_before_delay(self._settings.deadline_s),
                reraise=True,
            )
            try:
                made: tuple[R, str] = await retrying(self._once, send, shape, until)
            except Again as again:
                self._failed += 1
                if self._failed >= PATIENCE:
                    raise FatalModelError(f"{again.error} ({self._failed} calls in a row)") from None
                raise again.error from None
            self._failed = 0
            return made

    def _pause(self, state: RetryCallState) -> float:
        """Seconds to wait before the next try: the server's wish, else more and more; never above the cap."""
        error = state.outcome.exception() if state.outcome else None
        after = error.after if isinstance(error, Again) else None
        return min(self._wait(state) if after is None else after, self._settings.max_wait_s)

    async def _once(
        self, send: Callable[[openai.AsyncOpenAI], Awaitable[Raw | str]], shape: type[R], until: float
    ) -> tuple[R, str]:
        """One try. What it may have cost is counted, also when no answer comes."""
        self._ledger.allow()
        limit = min(self._settings.timeout_s, max(0.0, until - asyncio.get_running_loop().time()))
        with self._servers.next() as (server, client):
            try:
                async with asyncio.timeout(limit):
                    sent = await send(client)
                text = sent if isinstance(sent, str) else sent.text
            except asyncio.CancelledError:
                self._ledger.unknown()
                raise
            except (openai.OpenAIError, OSError, TimeoutError) as error:
                fault = self._faults.of(error, server.url)
                self._ledger.fault(cause(error))
                if isinstance(fault, Again):
                    server.rest()
                if not isinstance(error, openai.APIStatusError) and not _never_sent(fault):
                    self._ledger.unknown()
                raise fault from None
            try:
                reply = self._faults.read(text, server.url, shape)
            except (Again, ModelError) as error:
                self._ledger.fault(cause(error))
                if isinstance(error, Again):
                    self._ledger.unknown()
                raise
        self._ledger.charge(reply.charged())
        return reply, server.url


def _never_sent(fault: Exception) -> bool:
    """Nobody took the call, so nobody charges for it."""
    return isinstance(fault, Again) and isinstance(fault.error, FatalModelError)
