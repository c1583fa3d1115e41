"""What a file must pass before any parser sees it: its size, its pixels, what it unpacks to.

Numbers are read from headers and directories only; nothing is unpacked. Names and media types are not believed. Not
covered: compressed streams inside a PDF, and slow XML; the worker's memory limit and deadline end those.
"""

from __future__ import annotations

import io
import warnings
import zipfile

from sport.errors import ToolError
from sport.tools.base import FileBytes

FILE_LIMIT = 32 << 20  # bytes
PIXEL_LIMIT = 50_000_000
UNPACKED_LIMIT = 200 << 20  # bytes, all members together
RATIO_LIMIT = 200  # unpacked bytes per byte of the file
MEMBER_LIMIT = 10_000
PICTURES = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # formats that Pillow decodes without another program


def check(file: FileBytes) -> None:
    """Pass, or say which limit a file breaks.

    Raises:
        ToolError: the file is too large, has too many pixels or unpacks to too much.
    """
    check_size(file)
    _check_archive(file.data)
    _check_pixels(file.data)  # both: one file can be a picture to one reader and an archive to another


def check_size(file: FileBytes) -> None:
    """The part that needs no parser at all; the driver does it before it sends or hashes. Raises ToolError."""
    if len(file.data) > FILE_LIMIT:
        raise ToolError(f"the file has {len(file.data)} bytes; at most {FILE_LIMIT} are read")


def _check_archive(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
        return  # no archive, or one that nobody can open
    unpacked = sum(member.file_size for member in members)
    if len(members) > MEMBER_LIMIT:
        raise ToolError(f"the file holds {len(members)} members; at most {MEMBER_LIMIT} are read")
    if unpacked > UNPACKED_LIMIT or unpacked > RATIO_LIMIT * len(data):
        raise ToolError(
            f"the file unpacks from {len(data)} to {unpacked} bytes; "
            f"at most {UNPACKED_LIMIT} and {RATIO_LIMIT} times its size are read"
        )


def _check_pixels(data: bytes) -> None:
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # our own limit is the stricter one
            with PIL.Image.open(io.BytesIO(data), formats=PICTURES) as picture:
                width, height = picture.size
    except PIL.Image.DecompressionBombError as error:
        raise ToolError(f"the picture has too many pixels; at most {PIXEL_LIMIT} are read") from error
    except (PIL.UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        return  # no picture, or one that its own parser will refuse
    if width * height > PIXEL_LIMIT:
        raise ToolError(f"the picture has {width} x {height} pixels; at most {PIXEL_LIMIT} are read")
