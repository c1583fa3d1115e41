"""Host: working directories. One path per box on which its processes take turns, and what lies in them.

While a process is off its turn, its directory lies aside under another name, and the process stands still. No symbolic
link is followed here: the code may have put one there. Files are read and written by :mod:`~sport.sandbox.reach`.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sport.config import SandboxSection
from sport.errors import SandboxError
from sport.sandbox.neutral import is_plain
from sport.sandbox.reach import MAX_FILE_BYTES

MAX_DEPTH = 64
MAX_SHOWN = 32  # names in a message

Listing = dict[str, tuple[int, int, int]]
"""Regular files by path: size in bytes, time of change in ns, inode."""


class TreeTooLarge(Exception):
    """A directory holds more files or bytes than it may."""


@dataclass(frozen=True)
class Caps:
    """What a working directory may hold: bytes of one file, entries and bytes in all; and new files of one step."""

    file_bytes: int = MAX_FILE_BYTES
    files: int = 4096
    tree_bytes: int = 512 << 20
    outputs: int = 32


CAPS = Caps()


def caps(limits: SandboxSection) -> Caps:
    """What the configuration allows."""
    return Caps(limits.file_mb << 20, min(CAPS.files, limits.disk_files), limits.disk_mb << 20, limits.outputs)


@dataclass(frozen=True)
class Place:
    """A directory of one process: ``aside`` while it waits, ``work`` while it is its turn.

    ``seen`` is the path at which the code sees ``work``; ``own`` gives what the host has made to the user it runs as.
    """

    work: Path
    aside: Path
    seen: str
    own: Callable[[Path], None]

    def make(self) -> None:
        """An empty directory, aside."""
        _make(self.aside, self.own)

    def take(self) -> None:
        """Bring the directory to the path; what others may have left beside it goes."""
        for entry in os.listdir(self.work.parent):
            if entry != self.work.name:
                remove(self.work.parent / entry)
        self._move(self.aside, self.work)

    def leave(self) -> None:
        """Set the directory aside. Code that removed or replaced it finds an empty one later."""
        self._move(self.work, self.aside)

    def remove(self) -> None:
        """Delete the directory."""
        remove(self.aside)

    def _move(self, source: Path, target: Path) -> None:
        remove(target)
        if source.is_dir() and not source.is_symlink():
            with suppress(PermissionError):
                source.rename(target)
                return
            _unlock(source)  # a directory that its owner has closed cannot move to another parent
            source.rename(target)
        else:
            remove(source)
            _make(target, self.own)


def _unlock(folder: Path) -> None:
    """Open a directory to its owner, by a descriptor: a link in its place, to anywhere, is refused and not followed."""
    descriptor = os.open(folder, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", 0o700)
    finally:
        os.close(descriptor)


def fresh_root() -> Path:
    """A place for one run's boxes, in memory where the system offers that.

    It is not made here: the zygote makes it, which outlives a host that is killed and removes it.
    """
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    return parent / f"sport-{os.getpid()}-{secrets.token_hex(8)}"


def own_root(root: Path) -> Path:
    """The directory ``boxes`` below ``root``. Raises SandboxError when it is there already: it may be another run's."""
    home = root.resolve() / "boxes"
    try:
        home.mkdir(parents=True)
    except FileExistsError as error:
        raise SandboxError(f"{home}: another run's boxes, or those of one that was killed; remove it then") from error
    return home


def list_files(directory: Path, caps: Caps = CAPS) -> Listing:
    """All regular files below ``directory``, without hidden ones, and following no link.

    Raises:
        TreeTooLarge: more entries or bytes than ``caps`` allows, hidden ones counted.
    """
    found: Listing = {}
    if directory.is_symlink() or not directory.is_dir():  # the code removed or replaced it
        return found
    total = 0
    for entries, (path, info) in enumerate(_walk(directory), 1):
        total += info.st_size if stat.S_ISREG(info.st_mode) else 0
        if entries > caps.files:
            raise TreeTooLarge(f"more than {caps.files} files")
        if total > caps.tree_bytes:
            raise TreeTooLarge(f"more than {caps.tree_bytes >> 20} MiB")
        if stat.S_ISREG(info.st_mode) and "/." not in f"/{path}":
            found[path] = (info.st_size, info.st_mtime_ns, info.st_ino)
    return found


def outputs(before: Listing, after: Listing, caps: Caps = CAPS) -> tuple[list[str], list[str]]:
    """Paths that are new or changed, in the order of their names; and what to say of those that are left out."""
    changed = sorted(path for path, facts in after.items() if before.get(path) != facts)
    named = [path for path in changed if is_shown(path)]
    fitting = [path for path in named if after[path][0] <= caps.file_bytes]
    notes = []
    if len(named) < len(changed):
        notes.append(f"{len(changed) - len(named)} new files with names that are no plain text are left out")
    if len(fitting) < len(named):
        large = ", ".join(path for path in named if path not in set(fitting))[:200]
        notes.append(f"new files larger than {caps.file_bytes >> 20} MiB are left out: {large}")
    if len(fitting) > caps.outputs:
        notes.append(f"{len(fitting)} new files; the first {caps.outputs} by name are kept")
    return fitting[: caps.outputs], notes


def is_shown(path: str) -> bool:
    """Whether a file's name may be told to people and models: text without control characters or tokens."""
    return path.encode("utf-8", "replace") == os.fsencode(path) and is_plain(path)


def copy_tree(source: Path, target: Path) -> None:
    """Copy directories, regular files with their times, and links as links; leave out sockets, pipes and devices.

    Owners stay what they are where the host is root; elsewhere there is only one.
    """
    target.mkdir(mode=0o700)
    give_all = os.geteuid() == 0
    if give_all:
        info = source.stat()
        os.chown(target, info.st_uid, info.st_gid)
    for path, info in _walk(source):
        here, there = source / path, target / path
        if stat.S_ISDIR(info.st_mode):
            there.mkdir()
        elif stat.S_ISLNK(info.st_mode):
            there.symlink_to(os.readlink(here))
        elif stat.S_ISREG(info.st_mode):
            shutil.copyfile(here, there, follow_symlinks=False)
            there.chmod(stat.S_IMODE(info.st_mode))
            os.utime(there, ns=(info.st_atime_ns, info.st_mtime_ns))
        else:
            continue
        if give_all:
            os.chown(there, info.st_uid, info.st_gid, follow_symlinks=False)


def _walk(directory: Path, below: str = "", depth: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry by its path from ``directory``, folders before what they hold.

    Texts, since this is asked for several times a step. Raises TreeTooLarge below ``MAX_DEPTH`` folders.
    """
    if depth > MAX_DEPTH:
        raise TreeTooLarge(f"more than {MAX_DEPTH} folders in one another")
    with os.scandir(os.path.join(directory, below)) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    for name, info in found:
        yield below + name, info
        if stat.S_ISDIR(info.st_mode):
            yield from _walk(directory, f"{below}{name}/", depth + 1)


def _make(directory: Path, own: Callable[[Path], None]) -> None:
    for folder in (directory, directory / ".tmp"):
        folder.mkdir(mode=0o700)
        own(folder)


def remove(path: Path) -> None:
    """Delete a file or a whole directory, also one that code has nested a thousand deep or closed to its owner."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except (RecursionError, OSError):
        _flatten(path)
        path.rmdir()


def _flatten(top: Path) -> None:
    """Empty a directory without ever going deeper than one folder: what a folder holds is moved up, then it goes."""
    top.chmod(0o700)
    names = (top / f".{secrets.token_hex(8)}" for _ in itertools.count())
    while entries := list(os.scandir(top)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in os.listdir(entry.path):
                os.rename(os.path.join(entry.path, inner), next(names))
            os.rmdir(entry.path)
