"""A box worked by hand: a zygote, a cell and its first state, without turns, observations and journals."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sport.config import SandboxSection
from sport.sandbox import workdir
from sport.sandbox.cell import Cell
from sport.sandbox.launch import Zygote
from sport.sandbox.process import Process

BARE = SandboxSection(libraries=())
"""No libraries: such a zygote boots at once."""


class Hand:
    """A state, and the host's pid of it."""

    def __init__(self, cell: Cell, process: Process, pid: int) -> None:
        self.cell = cell
        self.process = process
        self.pid = pid

    async def says(self, expression: str, before: str = "") -> Any:
        """The value of an expression inside, after the lines ``before``; or the error as text."""
        done = await self.run(f"{before}\n{expression}")
        return done["error"] if done["outcome"] == "error" else done["value"]

    async def run(self, code: str) -> dict[str, Any]:
        self.process.out.start()
        self.process.err.start()
        try:
            await self.process.channel.send({"op": "run", "id": 1, "code": code, "seed": 1})
            done = await asyncio.wait_for(self.process.channel.receive(), 60)
        finally:
            self.process.out.stop()
            self.process.err.stop()
        assert done is not None, "the state died"
        return done

    async def fork(self) -> Hand:
        """A sibling; both have the same directory here."""
        child, far = Process.prepare(self.cell, 1000)
        gate = self.cell.gate
        with gate.expecting(self.pid) if gate else contextlib.nullcontext():
            before = self.cell.members()
            await self.process.channel.send({"op": "fork"}, far)
            said = await self.process.channel.receive()
        for descriptor in far:
            os.close(descriptor)
        assert said == {"op": "forked", "status": 0}
        assert (await child.channel.receive() or {})["op"] == "ready"
        (pid,) = self.cell.members() - before
        self.cell.admit(pid)
        return Hand(self.cell, child, pid)


@contextlib.asynccontextmanager
async def booted(limits: SandboxSection = BARE) -> AsyncIterator[Zygote]:
    """A zygote; when it stops - on being asked to - nothing is left of its directory."""
    home = workdir.fresh_root()
    zygote = Zygote()
    try:
        await zygote.start(home, limits, ())
        yield zygote
        alive = running(zygote.pid)
        await zygote.stop()
        assert not (alive and home.exists())
    finally:
        await zygote.stop()
        workdir.remove(home)


@contextlib.asynccontextmanager
async def box(zygote: Zygote, name: str = "box") -> AsyncIterator[Hand]:
    cell, process = await zygote.open(name, 10_000)
    try:
        assert (await process.channel.receive() or {})["op"] == "ready"
        work = cell.directory / "turn" / "work"
        for folder in (work, work / ".tmp"):
            folder.mkdir()
            cell.own(folder)
        (pid,) = cell.members()
        cell.admit(pid)
        yield Hand(cell, process, pid)
    finally:
        await zygote.evict(cell)
        process.abandon()


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def gone(pids: set[int], within_s: float = 5.0) -> bool:
    """Whether all of them end in time."""
    for _ in range(round(within_s / 0.02)):
        if not any(running(pid) for pid in pids):
            return True
        await asyncio.sleep(0.02)
    return False
