"""Tokens and money of one role: what was charged so far, and whether another call is allowed."""

from __future__ import annotations

from collections.abc import Callable

from sport.config import Endpoint
from sport.errors import BudgetError, FatalModelError
from sport.types import Spent, Usage

MILLION = 1_000_000


class Ledger:
    """Counts what a role's endpoint charges, and refuses calls once a budget is spent.

    A budget is looked at before every call and never cuts one off, so that a run may spend more than it by what the
    calls then under way cost: at most ``concurrency`` of them. Prompts that a server bills at a discount because it had
    them cached are counted in full.

    Args:
        where: the section of the configuration, for messages.
        settings: its prices and budgets.
        spent: what earlier attempts at the run came to.
        save: told the new sum after every call; it returns when that is durable.
    """

    def __init__(self, where: str, settings: Endpoint, spent: Spent, save: Callable[[Spent], None]) -> None:
        self._where = where
        self._settings = settings
        self._save = save
        self.spent = spent

    def allow(self) -> None:
        """Do nothing while there is something left. Raises BudgetError."""
        spent, settings = self.spent, self._settings
        tokens = spent.prompt_tokens + spent.completion_tokens
        if settings.max_tokens is not None and tokens >= settings.max_tokens:
            raise BudgetError(self._over(f"{tokens:,} tokens", "max_tokens", f"{settings.max_tokens:,}"))
        if settings.max_cost is not None and (spent.cost or 0.0) >= settings.max_cost:
            raise BudgetError(self._over(f"{spent.cost or 0.0:.4f}", "max_cost", f"{settings.max_cost}"))

    def charge(self, usage: Usage | None) -> None:
        """Count a call that was answered; ``usage`` is None when the server did not say.

        Raises:
            FatalModelError: it did not say, and there is a budget to keep.
        """
        if usage is None:
            self.unknown()
            if self._settings.max_tokens is not None or self._settings.max_cost is not None:
                raise FatalModelError(
                    f"{self._where}: the server reports no usage, so that no budget can be kept; "
                    "unset max_tokens and max_cost"
                )
            return
        prompt = self.spent.prompt_tokens + usage.prompt_tokens
        completion = self.spent.completion_tokens + usage.completion_tokens
        update = {"prompt_tokens": prompt, "completion_tokens": completion, "cost": self._cost(usage)}
        self._note(self.spent.model_copy(update={**update, "calls": self.spent.calls + 1}))

    def unknown(self) -> None:
        """Count a call that may have been paid for although its price never came."""
        self._note(self.spent.model_copy(update={"calls": self.spent.calls + 1, "unknown": self.spent.unknown + 1}))

    def fault(self, cause: str) -> None:
        """Count a try that failed."""
        faults = {**self.spent.faults, cause: self.spent.faults.get(cause, 0) + 1}
        self._note(self.spent.model_copy(update={"faults": faults}))

    def _cost(self, usage: Usage) -> float | None:
        """The new sum: prices are taken as they are now, what was paid before stays as it was."""
        price_in, price_out = self._settings.price_in, self._settings.price_out
        if price_in is None or price_out is None:
            return self.spent.cost
        paid = (usage.prompt_tokens * price_in + usage.completion_tokens * price_out) / MILLION
        return (self.spent.cost or 0.0) + paid

    def _note(self, spent: Spent) -> None:
        self.spent = spent
        self._save(spent)

    def _over(self, spent: str, name: str, most: str) -> str:
        return (
            f"{self._where}: {spent} spent of {name} = {most}; nothing is lost: resume with a larger one, "
            f"--set {self._where}.{name}=..."
        )
