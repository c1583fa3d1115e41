"""Messages with files between a host and a sandbox that runs elsewhere: over a program's pipes, ``docker run`` say.

A message is a 4-byte big-endian length, one JSON object, and the bytes of the files that it names, in the order of its
list ``sizes``. It is bounded on both sides, NaN and duplicate keys are refused as in :mod:`~sport.sandbox.frames`, and
nothing is ever unpickled.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sport.sandbox import frames

MAX_HEADER = 64 << 20  # a long journal
MAX_FILES_BYTES = 1 << 30  # all files of a message together


class Link:
    """One end. Any task may send; one reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sending = asyncio.Lock()

    async def send(self, message: Mapping[str, Any], files: Sequence[bytes] = ()) -> None:
        """Send one message. Raises ConnectionError when the other side is gone, FrameError for what is no JSON."""
        try:
            body = json.dumps({**message, "sizes": [len(data) for data in files]}, allow_nan=False).encode("ascii")
        except (TypeError, ValueError, RecursionError) as error:
            raise frames.FrameError(f"not JSON: {error}") from error
        async with self._sending:
            self._writer.write(len(body).to_bytes(frames.HEADER_BYTES, "big") + body)
            for data in files:
                self._writer.write(data)
            await self._writer.drain()

    async def receive(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """Wait for one message and its files; None when the other side is gone. Raises FrameError."""
        try:
            length = int.from_bytes(await self._reader.readexactly(frames.HEADER_BYTES), "big")
            if length > MAX_HEADER:
                raise frames.FrameError(f"a message of {length} bytes; at most {MAX_HEADER} are allowed")
            message = frames.decode(await self._reader.readexactly(length))
            sizes = message.get("sizes")
            if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
                raise frames.FrameError("a message without the sizes of its files")
            if sum(sizes) > MAX_FILES_BYTES:
                raise frames.FrameError(f"files of {sum(sizes)} bytes; at most {MAX_FILES_BYTES} are allowed")
            return message, [await self._reader.readexactly(size) for size in sizes]
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
