"""Host: the near ends of what a process inside holds - its control socket, and the pipes of its output."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Mapping, Sequence
from typing import Any

from sport.sandbox import frames

CHUNK = 1 << 16
_CREDENTIALS = struct.Struct("3i")  # process, user, group


class Channel:
    """Frames over a socket, for asyncio. One reader and one writer at a time."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock

    async def send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send one frame; ``descriptors`` ride on its first bytes.

        Raises:
            FrameError: the message cannot become a frame.
            OSError: the other side is gone.
        """
        data = frames.encode(message)
        if descriptors:
            sent = socket.send_fds(self._socket, [data], list(descriptors))
            data = data[sent:]
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> dict[str, Any] | None:
        """Wait for one frame; None when the other side is gone. Raises FrameError."""
        try:
            header = await self._exactly(frames.HEADER_BYTES)
            body = None if header is None else await self._exactly(frames.body_length(header))
        except ConnectionError:
            return None
        return None if body is None else frames.decode(body)

    def ask_for_sender(self) -> None:
        """From now on the kernel says who sends: before anybody can, or :meth:`receive_first` learns nothing."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    async def receive_first(self) -> tuple[dict[str, Any] | None, int]:
        """Wait for one frame, and the process id of its sender as the kernel gives it. Raises FrameError."""
        await self._readable()
        try:
            header, extra, _, _ = self._socket.recvmsg(frames.HEADER_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
            if header and len(header) < frames.HEADER_BYTES:
                header += await self._exactly(frames.HEADER_BYTES - len(header)) or b""
            body = await self._exactly(frames.body_length(header)) if len(header) == frames.HEADER_BYTES else None
        except ConnectionError:
            return None, 0
        pids = [_CREDENTIALS.unpack(data)[0] for _, kind, data in extra if kind == socket.SCM_CREDENTIALS]
        return None if body is None else frames.decode(body), pids[0] if pids else 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._socket, _tell, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._socket)

    async def _exactly(self, count: int) -> bytes | None:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while len(data) < count:
            chunk = await loop.sock_recv(self._socket, min(count - len(data), CHUNK))
            if not chunk:
                return None
            data += chunk
        return bytes(data)


def _tell(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class Drain:
    """Reads a pipe so that nobody blocks on it, keeps the first ``limit`` bytes and counts the rest."""

    def __init__(self, descriptor: int, limit: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._limit = limit
        self._kept = bytearray()
        self._total = 0

    def start(self) -> None:
        """Read whenever something arrives."""
        asyncio.get_running_loop().add_reader(self._descriptor, self._read, CHUNK)

    def stop(self) -> tuple[bytes, int]:
        """Read what has arrived by now and stop: the bytes kept, and how many there were. Starts counting anew."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        waiting = array.array("i", [0])
        fcntl.ioctl(self._descriptor, termios.FIONREAD, waiting)
        while waiting[0] > 0 and (got := self._read(waiting[0])):
            waiting[0] -= got
        kept, total = bytes(self._kept), self._total
        self._kept.clear()
        self._total = 0
        return kept, total

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._descriptor)

    def _read(self, count: int) -> int:
        try:
            chunk = os.read(self._descriptor, count)
        except BlockingIOError:
            return 0
        if not chunk:  # every writer is gone: stay out of the loop's way
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._kept += chunk[: max(0, self._limit - len(self._kept))]
        self._total += len(chunk)
        return len(chunk)
