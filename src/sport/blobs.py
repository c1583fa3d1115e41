"""Files by content: every byte string lies once, under its SHA-256, and is durable before anything names it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from pathlib import Path, PurePosixPath

from sport import crash
from sport.errors import RunError
from sport.types import File

# A table of our own: the standard library's depends on what the machine has installed, and a record must not.
_MEDIA_TYPES = {
    **dict.fromkeys((".jpg", ".jpeg"), "image/jpeg"),
    **dict.fromkeys((".txt", ".log"), "text/plain"),
    **dict.fromkeys((".html", ".htm"), "text/html"),
    ".png": "image/png",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".py": "text/x-python",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".zip": "application/zip",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".mp4": "video/mp4",
}


TEMPORARY = ".tmp"
"""How the name of a file ends that is not whole yet; it begins with a dot."""


def media_type_of(name: str) -> str:
    """The media type that a file's ending stands for; ``application/octet-stream`` when it is not known."""
    return _MEDIA_TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream")


class Blobs:
    """A directory ``ab/abcdef...`` of immutable files.

    A file appears under its final name only when it is complete and synced (temporary name, fsync, rename, fsync of
    the directory), so a row that names a hash never points at half a file. Nothing is ever deleted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sweep(self) -> None:
        """Remove what a killed writer left half done. Only for the one writer. Raises OSError."""
        sweep(self._folder)

    def put(self, name: str, data: bytes, media_type: str | None = None) -> File:
        """Keep ``data`` and return its record; equal data are kept once, whatever their names.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        if not path.exists():
            self._make(path.parent)
            write_atomically(path, data, aside=self._folder)
        return File(name=name, sha256=sha256, size=len(data), media_type=media_type or media_type_of(name))

    def read(self, file: File) -> bytes:
        """The bytes of a file, checked against its hash.

        Raises:
            RunError: the file is missing or damaged.
        """
        path = self._path(file.sha256)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RunError(f"{path}: the contents of {file.name!r} cannot be read ({error.strerror})") from error
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise RunError(f"{path}: damaged: the contents of {file.name!r} are not those that were stored")
        return data

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_directory(folder.parent)


def write_atomically(path: Path, data: bytes, aside: Path | None = None) -> None:
    """Write a file so that a kill or a power cut leaves the old one or the new one, never half of it.

    What a kill leaves lies beside it, or in the directory ``aside`` of the same file system, for :func:`sweep`.

    Raises:
        OSError: the disk is full or cannot be written; nothing is left behind.
    """
    temporary = (aside or path.parent) / f".{path.name}.{os.getpid()}.{threading.get_ident()}{TEMPORARY}"
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            crash.here("before_blob_fsync")
            os.fsync(stream.fileno())
        crash.here("after_blob_fsync")
        temporary.replace(path)
        crash.here("after_blob_rename")
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def sweep(folder: Path) -> None:
    """Remove what a killed writer left half done in a directory. Only for its one writer. Raises OSError."""
    for left in folder.glob(f".*{TEMPORARY}"):
        left.unlink(missing_ok=True)


def sync_directory(folder: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
