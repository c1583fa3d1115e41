"""Host: a handle on one process inside: its channel, its output, its forks and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sport.errors import SandboxError
from sport.sandbox.channel import Channel, Drain
from sport.sandbox.frames import FrameError

FORK_S = 20.0


class Keeper(Protocol):
    """Who makes processes, and reaps them when they are dead: the zygote."""

    def is_parent_of(self, pid: int) -> bool:
        """Whether ``pid`` is a process of its own."""
        ...

    async def kill(self, pid: int) -> int | None:
        """Kill a process with its group and descendants, and reap it: its wait status, None if it was reaped before."""
        ...


class Process:
    """One process inside: its channel, its output and its end. The zygote reaps it, so its pid stays its own."""

    def __init__(self, keeper: Keeper, channel: Channel, out: Drain, err: Drain) -> None:
        self.keeper = keeper
        self.channel = channel
        self.out = out
        self.err = err
        self.pid = 0

    @classmethod
    def prepare(cls, keeper: Keeper, limit: int) -> tuple[Process, list[int]]:
        """A handle that no process answers yet, and the descriptors to send to whoever forks it."""
        near, far = socket.socketpair()
        pipes = [os.pipe(), os.pipe()]
        drains = [Drain(read_end, limit) for read_end, _ in pipes]
        return cls(keeper, Channel(near), *drains), [far.detach(), *(write_end for _, write_end in pipes)]

    async def arrive(self) -> Process:
        """Wait for ``ready``. Raises SandboxError."""
        try:
            ready = await asyncio.wait_for(self.channel.receive(), FORK_S)
        except (TimeoutError, FrameError) as error:
            raise SandboxError("a new process did not report") from error
        if ready is None or ready.get("op") != "ready":
            raise SandboxError("a new process died before it reported")
        pid = ready.get("pid")
        # WALL: the peer's credentials. Until then at least: it is a child of the zygote, as every state is.
        if not isinstance(pid, int) or not self.keeper.is_parent_of(pid):
            raise SandboxError("a new process named a pid that is not its own")
        self.pid = pid
        return self

    async def fork(self, old: Path, new: Path, limit: int) -> Process:
        """Fork this idle process. ``old`` is its directory as it lies now, ``new`` the child's copy of it.

        Raises:
            SandboxError: it could not fork, or does not answer.
        """
        child, far = Process.prepare(self.keeper, limit)
        try:
            await self.channel.send({"op": "fork", "old": str(old), "new": str(new)}, far)
            reply = await asyncio.wait_for(self.channel.receive(), FORK_S)
            if reply is None or reply.get("op") != "forked" or reply.get("status") != 0:
                raise SandboxError("the state could not fork")
            return await child.arrive()
        except (OSError, FrameError) as error:
            child.abandon()
            raise SandboxError("the state does not answer") from error
        except BaseException:
            child.abandon()
            raise
        finally:
            close_all(far)

    def signal(self, sign: signal.Signals) -> None:
        """Send a signal to the process and its group; nothing happens where it has ended."""
        if self.pid:
            for send in (os.kill, os.killpg):
                try:
                    send(self.pid, sign)
                except ProcessLookupError:
                    continue

    async def kill(self) -> str:
        """End it with all that it started; how it had ended if it was dead before. Calling it twice is allowed."""
        if not self.pid:
            return "it had ended"
        self.signal(signal.SIGKILL)
        pid, self.pid = self.pid, 0
        return _describe(await self.keeper.kill(pid))

    def abandon(self) -> None:
        """Close the near ends."""
        self.channel.close()
        self.out.close()
        self.err.close()


def _describe(status: int | None) -> str:
    if status is None:
        return "it had ended"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"it exited with status {code}"
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"


def close_all(descriptors: Sequence[int]) -> None:
    """Close the descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)
