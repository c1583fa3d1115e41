"""Inside: what a forked child does to the open files it inherits. Standard library only, and without /proc.

After a fork both sides share offsets, and a file that the state holds open in its working directory is still the
state's file. The child opens each again by its path - in its own copy of the directory - at the same place in the file.
A file without a name (a temporary one) is copied. Not covered: files outside the directory, which are read-only, share
their offset; shared memory maps are refused by the filter.
"""

from __future__ import annotations

import fcntl
import os
import resource
import stat
from contextlib import suppress
from dataclasses import dataclass

_MAX_ENTRIES = 20_000
_MAX_NAMELESS = 64 << 20  # bytes of a temporary file that a future takes along
_ONCE = os.O_CREAT | os.O_TRUNC | os.O_EXCL  # creation and truncation belong to the first open


@dataclass(frozen=True)
class Note:
    """An open file as it was at the fork; ``path`` is relative to the working directory, None where it has no name."""

    descriptor: int
    path: str | None
    offset: int
    flags: int
    inheritable: bool


def note(work: str, limit: int) -> list[Note]:
    """The regular files that this process holds open in ``work``; ``limit``: no descriptor is as high."""
    found = {}
    for descriptor in range(3, limit):
        with suppress(OSError):  # not open, or closed by a thread just now
            info = os.fstat(descriptor)
            if stat.S_ISREG(info.st_mode):
                found[descriptor] = info
    if not found:
        return []
    names = _names(work, {(info.st_dev, info.st_ino) for info in found.values()})
    notes = []
    for descriptor, info in found.items():
        name = names.get((info.st_dev, info.st_ino))
        if info.st_nlink == 0 or name is not None:
            with suppress(OSError):
                notes.append(_noted(descriptor, name))
    return notes


def read_nameless(notes: list[Note]) -> dict[int, bytes]:
    """In the child, at once: what the files hold that lie in no directory. The state may go on writing to its own."""
    return {one.descriptor: _content(one.descriptor) for one in notes if one.path is None}


def reopen(notes: list[Note], nameless: dict[int, bytes], work: str) -> None:
    """In the child, once its own directory is at ``work``: open every file again, under the same number."""
    for one in notes:
        try:
            if one.path is not None:
                fresh = os.open(os.path.join(work, one.path), one.flags & ~_ONCE | os.O_CLOEXEC)
            else:
                fresh = _written(nameless[one.descriptor], work)
        except OSError:
            with suppress(OSError):  # a thread may have closed it before
                os.close(one.descriptor)  # better no file than the state's file
            continue
        with suppress(OSError):
            os.lseek(fresh, one.offset, os.SEEK_SET)
            os.dup2(fresh, one.descriptor, inheritable=one.inheritable)
        os.close(fresh)


def highest() -> int:
    """One more than the highest descriptor there can be."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(soft, 1 << 16)


def _noted(descriptor: int, path: str | None) -> Note:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    return Note(descriptor, path, os.lseek(descriptor, 0, os.SEEK_CUR), flags, os.get_inheritable(descriptor))


def _content(descriptor: int) -> bytes:
    data = bytearray()
    try:
        while len(data) < _MAX_NAMELESS and (part := os.pread(descriptor, 1 << 20, len(data))):
            data += part
    except OSError:  # open for writing only
        return b""
    return bytes(data)


def _written(data: bytes, work: str) -> int:
    fresh = os.open(work, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        done = 0
        while done < len(data):
            done += os.pwrite(fresh, data[done:], done)
    except OSError:
        os.close(fresh)
        raise
    return fresh


def _names(work: str, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """Paths of the wanted files (device, inode) below ``work``, found by looking: there is no /proc to ask."""
    found: dict[tuple[int, int], str] = {}
    seen, folders = 0, [""]
    while folders and len(found) < len(wanted) and seen < _MAX_ENTRIES:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(os.path.join(work, folder)), key=lambda entry: entry.name)
        except OSError:  # closed to its owner, or gone
            continue
        for entry in entries:
            seen += 1
            path = os.path.join(folder, entry.name)
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:  # removed meanwhile
                continue
            if stat.S_ISDIR(info.st_mode):
                folders.append(path)
            elif (info.st_dev, info.st_ino) in wanted:
                found[info.st_dev, info.st_ino] = path
    return found
