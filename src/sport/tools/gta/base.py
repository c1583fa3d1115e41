"""Where GTA's tools run code: seen from here, a service that runs programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Ran:
    """What came of a program: the repr of its last expression, its new files, or an error."""

    value: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    error: str | None = None


class Computer(Protocol):
    """Runs programs, each in a closed box of its own."""

    async def start(self) -> None:
        """Boot."""

    async def stop(self) -> None:
        """Leave nothing behind."""

    async def run(self, program: str) -> Ran:
        """What came of it; a program that fails is an error, never an exception."""
        ...
