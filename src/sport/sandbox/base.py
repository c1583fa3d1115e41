"""Interpreters that hold the live state of a trajectory and can be forked into isolated futures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sport.sandbox.layers.report import Layer
from sport.types import CallRecord, File, Observation


@dataclass(frozen=True)
class Entry:
    """One line of a journal: code that was run in the trunk, the seed it ran with, and its tools' answers.

    ``digest`` is that of the observation it led to, so that a replay can tell whether it led there again; None where
    that is not known.
    """

    code: str
    seed: int
    calls: tuple[CallRecord, ...] = ()
    digest: str | None = None

    @classmethod
    def of(cls, code: str, seed: int, seen: Observation) -> Entry:
        """The line of a run that has ended."""
        return cls(code, seed, seen.calls, digest(seen))


def digest(seen: Observation) -> str:
    """SHA-256 of everything in an observation but its times and what the sandbox itself said on stderr."""
    said = [line for line in seen.stderr.splitlines() if not line.startswith(SANDBOX_SAYS)]
    calls = [
        [record.call.model_dump(mode="json"), record.result.model_dump(mode="json", exclude={"wall_s", "cached"})]
        for record in seen.calls
    ]
    rest = seen.model_dump(mode="json", exclude={"wall_s", "cpu_s", "calls", "stderr"})
    return hashlib.sha256(json.dumps([rest, said, calls], sort_keys=True).encode()).hexdigest()


SANDBOX_SAYS = "[sandbox] "
"""How a line of stderr begins that no code wrote, but the sandbox."""


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

    @property
    def layers(self) -> Sequence[Layer]:
        """What is around the code, once started, every layer tried; empty where nothing is."""
        ...

    async def start(self) -> None:
        """Boot (the zygote imports its libraries). Raises SandboxError."""
        ...

    async def open(self, box: str, files: Sequence[File]) -> Interpreter:
        """A fresh state named ``box``, with ``files`` in its working directory under their names."""
        ...

    async def restore(self, box: str, files: Sequence[File], journal: Sequence[Entry]) -> Interpreter:
        """A state rebuilt by replay: same code, same seeds, tools answered from the journal and never called.

        It is what was there when the last line of ``journal`` had run, also in another process of the host, after a
        restart. Where a line leads to another output than then - it read the clock, say - the state lives all the same,
        and its next observation says so on stderr.

        Raises:
            SandboxError: the code calls other tools than then, or ends the process.
        """
        ...

    async def stop(self) -> None:
        """Close everything that is still open."""
        ...
