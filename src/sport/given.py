"""What a user hands in: a query and files, read, looked at and given neutral names; nothing is made on disk."""

from __future__ import annotations

import io
import mimetypes
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sport.blobs import media_type_of
from sport.errors import InputError, ToolError
from sport.tools import guard
from sport.tools.base import FileBytes

_UNKNOWN = "application/octet-stream"
_FORMATS = {"MPO": "image/jpeg", **{name: f"image/{name.lower()}" for name in guard.PICTURES}}
_OFFICE = {
    f"{folder}/": media_type_of(f"a.{end}") for folder, end in (("word", "docx"), ("xl", "xlsx"), ("ppt", "pptx"))
}
_ENDINGS = {
    **{kind: (f".{kind.removeprefix('image/')}",) for kind in _FORMATS.values()},
    **{media_type_of(f"a{ending}"): (ending,) for ending in (".pdf", ".docx", ".xlsx", ".pptx")},
    "image/jpeg": (".jpg", ".jpeg"),
    "image/tiff": (".tif", ".tiff"),
}
"""Types that content alone tells, with the endings that go with them, the usual one first."""


@dataclass(frozen=True)
class Given:
    """A file as it will lie before the controller: ``name`` is neutral (image_1.png), ``path`` where it came from."""

    path: Path
    name: str
    data: bytes
    media_type: str


@dataclass(frozen=True)
class Question:
    """A query with its files, read and looked at."""

    query: str
    files: tuple[Given, ...] = ()


def prepare(query: str, paths: Iterable[Path] = ()) -> Question:
    """Read the files and name them image_1, image_2, ..., file_1, ... in the order given; makes nothing on disk.

    The type is that of the content; the ending is the user's in lower case, unless the content says otherwise. A
    picture's noted orientation is not applied: tools and controller see its pixels as they lie in the file.

    Raises:
        InputError: an empty query; a file that is missing, empty, unreadable or too large, or a picture that cannot be
            opened. The message names the path.
    """
    if not query.strip():
        raise InputError('the question is empty; ask something: sport ask "How much is the tea?" --file sign.png')
    counts = {"image": 0, "file": 0}
    files = []
    for path in paths:
        data = _bytes(path)
        media_type = _media_type(path, data)
        stem = "image" if media_type.startswith("image/") else "file"
        counts[stem] += 1
        files.append(Given(path, f"{stem}_{counts[stem]}{_ending(path, media_type)}", data, media_type))
    return Question(query.strip(), tuple(files))


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path}: a directory; give one file with each --file")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: not a regular file")
    try:
        with path.open("rb") as stream:
            data = stream.read(guard.FILE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read ({reason})") from error
    if not data:
        raise InputError(f"{path}: empty")
    if len(data) > guard.FILE_LIMIT:
        raise InputError(f"{path}: larger than {guard.FILE_LIMIT >> 20} MiB, which is all that tools read")
    return data


def _media_type(path: Path, data: bytes) -> str:
    """By content; what the ending says counts only where the content does not tell."""
    told = media_type_of(path.name)
    try:
        guard.check(FileBytes(data, told))
        picture = _picture(data)
        if picture is None and (mimetypes.guess_type(path.name)[0] or told).startswith("image/"):
            raise ToolError(f"not a picture that can be opened; expected {', '.join(guard.PICTURES)}")
    except ToolError as error:
        raise InputError(f"{path}: {error}") from error
    return picture or _document(told, data)


def _picture(data: bytes) -> str | None:
    """The type of a picture that opens whole, None for what is no picture. Raises ToolError for a damaged one."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data), formats=guard.PICTURES) as opened:
            opened.load()
            return _FORMATS[str(opened.format)]
    except PIL.UnidentifiedImageError:
        return None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ToolError(f"a damaged picture ({error})") from error


def _document(told: str, data: bytes) -> str:
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    if data.startswith(b"PK\x03\x04"):
        return _archive(data)
    text = data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" not in data  # UTF-16 with its mark is text too
    if told in _ENDINGS or told == _UNKNOWN:
        return "text/plain" if text else _UNKNOWN
    return told if text or not told.startswith("text/") else _UNKNOWN


def _archive(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
        return _UNKNOWN
    found = (kind for folder, kind in _OFFICE.items() if any(name.startswith(folder) for name in names))
    return next(found, "application/zip")


def _ending(path: Path, media_type: str) -> str:
    own, fitting = path.suffix.lower(), _ENDINGS.get(media_type)
    if fitting is not None:
        return own if own in fitting else fitting[0]
    if re.fullmatch(r"\.[a-z0-9]{1,8}", own) and media_type_of(f"a{own}") in (media_type, _UNKNOWN):
        return own
    return {"text/plain": ".txt", "application/zip": ".zip"}.get(media_type, ".bin")
