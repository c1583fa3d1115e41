from __future__ import annotations

import struct
import zlib

import PIL.Image
import pytest

from scenes import archive, file
from sport.errors import ToolError
from sport.tools.base import FileBytes
from sport.tools.guard import FILE_LIMIT, check


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_000, 100_000, 2**31 - 1])
def test_a_picture_bomb_is_refused_by_its_header(side):
    with pytest.raises(ToolError, match="pixels"):
        check(FileBytes(png_header(side, side), "image/png"))


def test_a_lying_media_type_helps_no_picture_bomb():
    with pytest.raises(ToolError, match="pixels"):
        check(FileBytes(png_header(20_000, 20_000), "text/plain"))


@pytest.mark.parametrize("bomb", [{"a.xml": bytes(50_000_000)}, {f"{i}.xml": b"" for i in range(10_001)}])
def test_a_zip_bomb_is_refused_by_its_directory(bomb):
    with pytest.raises(ToolError, match=r"unpacks|members"):
        check(FileBytes(archive(bomb), "application/zip"))


def test_a_picture_that_is_also_an_archive_must_pass_as_both():
    with pytest.raises(ToolError, match="pixels"):
        check(FileBytes(png_header(20_000, 20_000) + archive({"a": b"a"}), "image/png"))
    with pytest.raises(ToolError, match="unpacks"):
        check(FileBytes(png_header(9, 9) + archive({"a": bytes(50_000_000)}), "image/png"))


def test_a_file_that_is_too_large_is_refused():
    with pytest.raises(ToolError, match="bytes"):
        check(FileBytes(bytes(FILE_LIMIT + 1), "text/plain"))


@pytest.mark.parametrize(
    "data", [b"", b"plain text", archive({"a.txt": b"abc" * 99}), file(PIL.Image.new("RGB", (2000, 2000))).data]
)
def test_honest_files_pass(data):
    check(FileBytes(data, "application/octet-stream"))
