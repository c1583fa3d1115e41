from __future__ import annotations

import asyncio
import io

import pytest

from sport.tools import frames

GOOD = frames.encode({"do": "call", "text": "h\u00e9"}, [b"", b"\x00\xff", bytes(100_000)])


async def read(data: bytes):
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await frames.receive(reader)


def head(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(4, "big") + text


async def test_both_ends_read_what_was_written():
    expected = ({"do": "call", "text": "h\u00e9"}, [b"", b"\x00\xff", bytes(100_000)])
    assert await read(GOOD) == expected
    assert frames.receive_blocking(io.BytesIO(GOOD)) == expected


@pytest.mark.parametrize(
    "data",
    [
        head(b"", 0xFFFFFFFF),
        head(b"{"),
        head(b"[" * 900_000),
        head(b"[]"),
        head(b"{}"),
        head(b'{"sizes": [-1]}'),
        head(b'{"sizes": [true]}'),
        head(b'{"sizes": [1000000000000]}'),
    ],
    ids=["length", "cut", "deep", "list", "no-sizes", "negative", "boolean", "huge"],
)
async def test_what_is_no_frame_is_refused_by_both_ends(data):
    with pytest.raises(frames.FrameError):
        await read(data)
    with pytest.raises(frames.FrameError):
        frames.receive_blocking(io.BytesIO(data))


@pytest.mark.parametrize("end", [0, 3, 10, len(GOOD) - 1])
async def test_half_a_frame_is_the_end(end):
    with pytest.raises(asyncio.IncompleteReadError):
        await read(GOOD[:end])
    with pytest.raises(EOFError):
        frames.receive_blocking(io.BytesIO(GOOD[:end]))
