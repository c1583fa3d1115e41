"""What a stage tells whoever watches it. Stages know this Protocol; the door draws it (``progress.py``)."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """One bar per stage."""

    def start(self, stage: str, total: int, unit: str) -> None:
        """A stage begins; ``total`` units of work lie ahead of it."""

    def advance(self, stage: str, by: int = 1, note: str = "") -> None:
        """``by`` units are done; ``note`` is a short figure worth seeing (a rate of answers, a loss)."""

    def finish(self, stage: str, note: str = "") -> None:
        """A stage is over."""


class Silent:
    """Watches nothing."""

    def start(self, stage: str, total: int, unit: str) -> None:
        """Do nothing."""

    def advance(self, stage: str, by: int = 1, note: str = "") -> None:
        """Do nothing."""

    def finish(self, stage: str, note: str = "") -> None:
        """Do nothing."""
