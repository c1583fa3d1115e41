"""Frames: a 4-byte big-endian length and one JSON object, spoken by both sides of the wall.

A frame is at most 1 MiB. NaN, infinities (``1e999`` too), duplicate keys and anything but an object at the top are
refused on both sides, and nothing is ever unpickled. Descriptors may ride on a frame that the host sends; a process
inside never sends any. This module needs the standard library only: it is loaded inside as well.
"""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Mapping, Sequence
from typing import Any

MAX_BYTES = 1 << 20
HEADER_BYTES = 4
MAX_DESCRIPTORS = 8


class FrameError(ValueError):
    """Bytes that are no frame, or a message that cannot become one."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One frame, header included.

    Raises:
        FrameError: not JSON, not finite, nested too deeply, or larger than 1 MiB.
    """
    try:
        body = _encode(message).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}") from error
    if len(body) > MAX_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes; at most {MAX_BYTES} are allowed")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def body_length(header: bytes) -> int:
    """The length that a header announces. Raises FrameError above 1 MiB."""
    length = int.from_bytes(header, "big")
    if length > MAX_BYTES:
        raise FrameError(f"a frame of {length} bytes; at most {MAX_BYTES} are allowed")
    return length


def decode(body: bytes) -> dict[str, Any]:
    """The object in a frame's body. Raises FrameError."""
    try:
        message = _decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not a frame: {error}") from error
    if not isinstance(message, dict):
        raise FrameError(f"expected an object, got {type(message).__name__}")
    return message


def send(sock: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one frame on a blocking socket. Raises FrameError, OSError."""
    sock.sendall(encode(message))


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Wait for one frame on a blocking socket: the message and the descriptors that came along; None at the end.

    Raises:
        FrameError: not a frame; the stream is of no use any more.
    """
    descriptors: list[int] = []
    header = _exactly(sock, HEADER_BYTES, descriptors)
    if header is None:
        return None
    body = _exactly(sock, body_length(header), descriptors)
    return None if body is None else (decode(body), descriptors)


def _exactly(sock: socket.socket, count: int, descriptors: list[int]) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        chunk, received, _, _ = socket.recv_fds(sock, count - len(data), MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        descriptors.extend(received)
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


# Made once, before any code runs inside that could replace what json offers.
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_without_duplicates
).decode
