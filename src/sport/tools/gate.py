"""How often a tool may be called, and what that costs: rate, price and budget of one tool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from sport.errors import BudgetError
from sport.tools.entry import Limits
from sport.types import Spent

MINUTE = 60.0


class Accounts(Protocol):
    """Where what was spent is kept, by role."""

    def spent(self, role: str) -> Spent:
        """What :meth:`set_spent` was told last; nothing spent when it was not."""
        ...

    def set_spent(self, role: str, spent: Spent) -> None:
        """Keep it; it is durable on return."""
        ...


class Gate:
    """Lets calls of one tool through. Answers from the cache never come here.

    A call is charged before it is made, so that one that a crash cuts off is counted; what it would have brought is
    not known, and a repeated one is charged again.
    """

    def __init__(self, name: str, limits: Limits, accounts: Accounts | None = None) -> None:
        self._name = name
        self._limits = limits
        self._accounts = accounts if limits.cost is not None else None
        self._wait = _limiter(limits.rate)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Wait for its turn, pay, and let the block run.

        Raises:
            BudgetError: the tool's budget is spent.
        """
        if self._wait is not None:
            await self._wait()
        self._pay()
        yield

    def _pay(self) -> None:
        if self._accounts is None:
            return
        assert self._limits.cost is not None
        role, where = f"tool {self._name}", f"tools.settings.{self._name}"
        before = self._accounts.spent(role)
        most, cost = self._limits.max_cost, before.cost or 0.0
        if most is not None and cost + self._limits.cost > most + 1e-9:
            raise BudgetError(
                f"{where}: {cost:.4f} spent of max_cost = {most}; nothing is lost: resume with a larger one, "
                f"--set {where}.max_cost=..."
            )
        self._accounts.set_spent(
            role, before.model_copy(update={"calls": before.calls + 1, "cost": cost + self._limits.cost})
        )


def _limiter(rate: float | None) -> Callable[[], Awaitable[None]] | None:
    """Whole calls of a minute may come in a burst; below one a minute they come singly."""
    if rate is None:
        return None
    from aiolimiter import AsyncLimiter

    limiter = AsyncLimiter(rate, MINUTE) if rate >= 1 else AsyncLimiter(1, MINUTE / rate)
    return limiter.acquire
