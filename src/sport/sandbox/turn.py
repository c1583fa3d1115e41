"""Host: one path for all processes of a box, one process at a time on it."""

from __future__ import annotations

import asyncio
import signal

from sport.sandbox.process import Process
from sport.sandbox.workdir import Place


class Turn:
    """A process's claim to the path of its box.

    Off its turn a process stands still (SIGSTOP) and its directory lies aside. So neither its threads nor code that
    only pretends to have come to its end can write into the directory of whoever is on the path.
    """

    def __init__(self, path: asyncio.Lock, place: Place, process: Process) -> None:
        self.place = place
        self.process = process
        self._path = path
        self._held = False

    async def take(self) -> None:
        """Wait for the path, then bring the directory to it and let the process run."""
        await self._path.acquire()
        self._held = True
        self.place.take()
        self.process.signal(signal.SIGCONT)

    def leave(self) -> None:
        """Stop the process and set its directory aside, if it has the path."""
        if self._held:
            self.process.signal(signal.SIGSTOP)
            self.place.leave()
            self._held = False
            self._path.release()
