"""Frames between the driver and a worker: a JSON head and blobs of bytes. Never pickle.

A frame is a 4-byte length (big endian), the head as UTF-8 JSON, and the blobs whose sizes ``head["sizes"]`` lists. Both
ends belong to us, but a worker parses hostile files and may be taken over by one: the driver checks what it reads.
"""

from __future__ import annotations

import json
from asyncio import StreamReader
from collections.abc import Sequence
from typing import Any, BinaryIO

HEAD_LIMIT = 8 << 20  # bytes
BLOBS_LIMIT = 256 << 20  # bytes, all blobs of a frame together

Head = dict[str, Any]


class FrameError(Exception):
    """Bytes that are no frame: the other end is broken."""


def encode(head: Head, blobs: Sequence[bytes] = ()) -> bytes:
    """One frame as bytes.

    Raises:
        ValueError, TypeError, RecursionError: the head is not JSON (NaN and infinities included).
    """
    text = json.dumps({**head, "sizes": [len(blob) for blob in blobs]}, allow_nan=False).encode()
    if len(text) > HEAD_LIMIT:
        raise ValueError(f"{len(text)} bytes of JSON; at most {HEAD_LIMIT} are sent")
    return b"".join((len(text).to_bytes(4, "big"), text, *blobs))


async def receive(reader: StreamReader) -> tuple[Head, list[bytes]]:
    """The next frame.

    Raises:
        FrameError: what came is no frame.
        asyncio.IncompleteReadError: the other end is gone.
    """
    head, sizes = _head(await reader.readexactly(_length(await reader.readexactly(4))))
    return head, [await reader.readexactly(size) for size in sizes]


def receive_blocking(stream: BinaryIO) -> tuple[Head, list[bytes]]:
    """The next frame from a buffered stream, for the worker, which has no event loop.

    Raises:
        FrameError: what came is no frame.
        EOFError: the other end is gone.
    """
    head, sizes = _head(_exactly(stream, _length(_exactly(stream, 4))))
    return head, [_exactly(stream, size) for size in sizes]


def _length(prefix: bytes) -> int:
    length = int.from_bytes(prefix, "big")
    if length > HEAD_LIMIT:
        raise FrameError(f"a head of {length} bytes")
    return length


def _head(text: bytes) -> tuple[Head, list[int]]:
    try:
        head = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameError("a head that is not JSON") from error
    sizes = head.pop("sizes", None) if isinstance(head, dict) else None
    if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
        raise FrameError("a head without sizes")
    if sum(sizes) > BLOBS_LIMIT:
        raise FrameError(f"blobs of {sum(sizes)} bytes")
    return head, sizes


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the other end is gone")
    return data
