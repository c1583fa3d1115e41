"""Host: answers a box's forks. One passes when the host has just asked that process for it; all others fail."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from sport.sandbox.layers import kernel

_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_QUESTION = struct.Struct("<QIIiIQ6Q")  # id, pid, flags, number, architecture, instruction, arguments
_ANSWER = struct.Struct("<QqiI")  # id, value, error, flags
_CONTINUE = 1
_PATIENCE = 20  # refusals that are told at once; who goes on asking waits
_PENANCE_S = 0.05
_FORKS = (kernel.CLONE_PARENT | kernel.FORK_FLAGS, kernel.CLONE_PARENT | signal.SIGCHLD)


class Gate:
    """The descriptor on which the kernel asks, and the process that may fork next.

    The kernel holds the asking thread until there is an answer, and then goes on with the very registers that were
    looked at here: the flags of a call cannot change in between.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._expected: int | None = None
        self._closed = False
        self.refused = 0
        asyncio.get_running_loop().add_reader(descriptor, self._answer)

    @contextmanager
    def expecting(self, pid: int) -> Iterator[None]:
        """Let one fork of that process pass while the block runs."""
        self._expected = pid
        try:
            yield
        finally:
            self._expected = None

    def close(self) -> None:
        """Stop answering: whoever asks from now on is told that there is no such call."""
        self._closed = True
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _answer(self) -> None:
        question = bytearray(_QUESTION.size)
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, question)
        except OSError:  # it was killed while it asked, or nobody is left who could ask
            if self._is_over():
                asyncio.get_running_loop().remove_reader(self._descriptor)
            return
        number, pid, _, call, _, _, flags, *_ = _QUESTION.unpack(question)
        allowed = pid == self._expected and call == kernel.CLONE and flags in _FORKS
        if allowed:
            self._expected = None
            self._send(number, 0, _CONTINUE)
            return
        self.refused += 1
        wait_s = _PENANCE_S if self.refused > _PATIENCE else 0.0  # a loop of forks must not keep this one busy
        asyncio.get_running_loop().call_later(wait_s, self._send, number, -errno.EPERM, 0)

    def _send(self, number: int, error: int, flags: int) -> None:
        if self._closed:  # by now the number of the descriptor may be another's
            return
        try:
            fcntl.ioctl(self._descriptor, _SEND, bytearray(_ANSWER.pack(number, 0, error, flags)))
        except OSError:  # it was killed meanwhile
            return

    def _is_over(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
