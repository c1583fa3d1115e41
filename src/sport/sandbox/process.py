"""Host: a handle on one process inside: its channel, its output, its forks and its end."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import Protocol

from sport.errors import SandboxError
from sport.sandbox.channel import Channel, Drain
from sport.sandbox.frames import FrameError
from sport.sandbox.layers.gate import Gate

FORK_S = 20.0


class Keeper(Protocol):
    """The box that a process lives in, as far as a process needs it."""

    @property
    def gate(self) -> Gate | None:
        """Where forks are asked for; None where all of them pass."""
        ...

    def admit(self, pid: int) -> None:
        """Take note of a process that says it belongs here. Raises SandboxError when it does not."""
        ...

    def threads(self, pid: int) -> int:
        """How many threads a process has; 0 when it is gone."""
        ...

    def cpu_s(self, pid: int) -> float | None:
        """Seconds of processor time that a process has used; None where that is not known."""
        ...

    async def kill(self, pid: int) -> int | None:
        """Kill a process and have it reaped: its wait status, None when that is not known."""
        ...


class CannotForkError(SandboxError):
    """The process did not fork; ``broken`` where it cannot be used any more either. A replay takes its place."""

    def __init__(self, message: str, broken: bool) -> None:
        super().__init__(message)
        self.broken = broken


class Process:
    """One process inside: its channel, its output and its end.

    It is signalled by a descriptor that stands for it (pidfd), so that no signal ever reaches another process.
    """

    can_fork = True

    def __init__(self, keeper: Keeper, channel: Channel, out: Drain, err: Drain) -> None:
        self.keeper = keeper
        self.channel = channel
        self.out = out
        self.err = err
        self.pid = 0
        self._handle = -1

    @classmethod
    def prepare(cls, keeper: Keeper, limit: int) -> tuple[Process, list[int]]:
        """A handle that no process answers yet, and the descriptors to send to whoever forks it."""
        near, far = socket.socketpair()
        pipes = [os.pipe(), os.pipe()]
        drains = [Drain(read_end, limit) for read_end, _ in pipes]
        channel = Channel(near)
        channel.ask_for_sender()
        return cls(keeper, channel, *drains), [far.detach(), *(write_end for _, write_end in pipes)]

    async def arrive(self) -> Process:
        """Wait for ``ready``; the process stands still then. Its number is the kernel's word, not its own.

        Raises:
            SandboxError: it did not come, or does not belong here.
        """
        try:
            ready, pid = await asyncio.wait_for(self.channel.receive_first(), FORK_S)
        except (TimeoutError, FrameError) as error:
            raise SandboxError("a new process did not report") from error
        if ready is None or ready.get("op") != "ready":
            raise SandboxError("a new process died before it reported")
        try:
            self._handle = os.pidfd_open(pid)
        except OSError as error:
            raise SandboxError("a new process died as soon as it had reported") from error
        self.keeper.admit(pid)  # after its handle: the number cannot have gone to another one in between
        self.pid = pid
        self.rest()
        return self

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        if not self.pid:
            return False
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return not poll.poll(0)

    async def fork(self, limit: int) -> Process:
        """Fork this process, which stands still, as the child does then, too. One fork at a time in a box.

        Raises:
            CannotForkError: it could not fork, or does not answer.
        """
        child, far = Process.prepare(self.keeper, limit)
        gate = self.keeper.gate
        try:
            with gate.expecting(self.pid) if gate else nullcontext():
                self.signal(signal.SIGCONT)
                await self.channel.send({"op": "fork"}, far)
                reply = await asyncio.wait_for(self.channel.receive(), FORK_S)
            if reply is None or reply.get("op") != "forked":
                raise SandboxError("it does not answer")
            if reply.get("status") != 0:
                raise CannotForkError("the state could not fork, for want of memory say", broken=False)
            return await child.arrive()
        except CannotForkError:
            child.abandon()
            raise
        except (OSError, FrameError, SandboxError) as error:
            child.abandon()
            raise CannotForkError(f"the state did not fork ({error})", broken=True) from error
        except BaseException:
            child.abandon()
            raise
        finally:
            self.rest()
            close_all(far)

    def signal(self, sign: signal.Signals) -> None:
        """Send a signal to the process and its group; nothing happens where it has ended."""
        if self.pid:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, sign)
            with suppress(ProcessLookupError):  # its number is not given away before it is reaped, which we ask for
                os.killpg(self.pid, sign)

    def rest(self) -> None:
        """Stand still until :class:`~sport.sandbox.turn.Turn` lets it go on."""
        self.signal(signal.SIGSTOP)

    def threads(self) -> int:
        """How many threads it has, as the system says, not the process."""
        return self.keeper.threads(self.pid)

    def cpu_s(self) -> float | None:
        """Seconds of processor time so far, as the system says; None when it is gone."""
        return self.keeper.cpu_s(self.pid) if self.pid else None

    async def kill(self) -> str:
        """End it with all that it started; how it had ended if it was dead before. Calling it twice is allowed."""
        if not self.pid:
            return "it had ended"
        self.signal(signal.SIGKILL)
        how = describe(await self.keeper.kill(self.pid))
        self.pid = 0
        return how

    def abandon(self) -> None:
        """Close the near ends."""
        self.channel.close()
        self.out.close()
        self.err.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def describe(status: int | None) -> str:
    """A wait status in words."""
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
