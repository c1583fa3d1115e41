"""Host: reading and writing inside a directory that code has had in its hands.

Everything goes by descriptor, component by component, and follows no symbolic link: the code may have put one there.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

MAX_FILE_BYTES = 64 << 20
MAX_NUMBER = 4096  # of files of one name


def read_inside(directory: Path, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a regular file below ``directory``.

    Raises:
        OSError: no such file, a link, not a regular file, larger than ``max_bytes``, or a path that leads out.
    """
    *folders, last = _parts(name)
    with _opened(directory, folders) as parent:
        descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(f"{name}: not a regular file")
        if info.st_size > max_bytes:
            raise OSError(f"{name}: larger than {max_bytes >> 20} MiB")
        return file.read(max_bytes)


def write_new(directory: Path, name: str, data: bytes) -> str:
    """Write a new file under ``name``, or ``name_1``, ``name_2``, ... where that is taken; the name that it got.

    Raises:
        OSError: it cannot be written.
    """
    stem, dot, ending = safe_name(name).rpartition(".")
    stem, ending = (stem, dot + ending) if stem else (dot + ending, "")
    with _opened(directory, []) as parent:
        for number in range(MAX_NUMBER):
            free = f"{stem}{f'_{number}' if number else ''}{ending}"
            try:
                _create(free, parent, data)
            except FileExistsError:
                continue
            return free
    raise OSError(f"{name}: no free name")


def place_file(directory: Path, name: str, data: bytes, mode: int = 0o644) -> Path:
    """Write one file under its own name, folders included: where it lies. Raises OSError when it leads out or exists.

    ``mode`` 0o444 makes it an input: code can read it, and replace it in its own copy of the directory at most.
    """
    *folders, last = _parts(name)
    (directory / Path(*folders)).mkdir(parents=True, exist_ok=True)
    with _opened(directory, folders) as parent:
        _create(last, parent, data, mode)
    return directory / Path(*folders, last)


def safe_name(name: str) -> str:
    """A plain file name: no folders, no leading dot, nothing but letters, digits, ``.``, ``_`` and ``-``."""
    return re.sub(r"[^\w.-]+", "_", PurePosixPath(name).name).lstrip(".") or "file"


def _create(name: str, parent: int, data: bytes, mode: int = 0o644) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, mode, dir_fd=parent), "wb") as file:
        file.write(data)


def _parts(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise OSError(f"{name}: not a file in the working directory")
    return path.parts


@contextmanager
def _opened(directory: Path, folders: list[str]) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    current = os.open(directory, flags)
    try:
        for folder in folders:
            inner = os.open(folder, flags, dir_fd=current)
            os.close(current)
            current = inner
        yield current
    finally:
        os.close(current)
