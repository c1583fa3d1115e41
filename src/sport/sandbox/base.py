"""Interpreters that hold the live state of a trajectory and can be forked into isolated futures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sport.types import CallRecord, File, Observation


@dataclass(frozen=True)
class Entry:
    """One line of a journal: code that was run in the trunk, the seed it ran with, and its tools' answers."""

    code: str
    seed: int
    calls: tuple[CallRecord, ...] = ()


class Interpreter(Protocol):
    """A Python namespace in a process of its own, with a working directory of its own."""

    async def run(self, code: str, seed: int) -> Observation:
        """Run ``code`` on this state, which it changes. ``random`` and numpy are seeded with ``seed`` first.

        Whatever the code does comes back as an observation (``ok | error | timeout | died | refused``); after
        ``timeout`` or ``died`` the state is gone and only :meth:`close` is allowed.

        Raises:
            SandboxError: the sandbox itself broke.
        """
        ...

    async def fork(self) -> Interpreter:
        """A future that starts from exactly this state; neither can see what the other does afterwards."""
        ...

    async def close(self) -> None:
        """Let the state go: its processes, its descriptors and its directory. Calling it twice is allowed."""
        ...


class Sandbox(Protocol):
    """Where interpreters come from. One per run."""

    async def start(self) -> None:
        """Boot (the zygote imports its libraries). Raises SandboxError."""
        ...

    async def open(self, box: str, files: Sequence[File]) -> Interpreter:
        """A fresh state named ``box``, with ``files`` in its working directory under their names."""
        ...

    async def restore(self, box: str, files: Sequence[File], journal: Sequence[Entry]) -> Interpreter:
        """A state rebuilt by replay: same code, same seeds, tools answered from the journal and never called."""
        ...

    async def stop(self) -> None:
        """Close everything that is still open."""
        ...
