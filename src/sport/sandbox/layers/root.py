"""Inside: the file system of a box. A read-only root with the interpreter, its libraries and five devices in it.

The zygote builds it once, in a mount namespace of its own; a box adds its directory and makes it the root. Nothing of
this is seen, or left behind, in the host's mount table. There is no /proc in it and no shared place to write: /tmp is a
link into the working directory, which is a future's own.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable

from sport.sandbox.layers import kernel

BOX = "/box"  # where a box's directory appears; "work" lies in it
WORK = f"{BOX}/work"
DEVICES = ("null", "zero", "full", "random", "urandom")
SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4


def readable(search_path: Iterable[str]) -> list[str]:
    """What code needs to read: standard library, packages, shared libraries. Links are kept, doubles are left out."""
    prefixes = {sys.base_prefix, sys.base_exec_prefix, sys.prefix, sys.exec_prefix}
    found = {os.path.join(prefix, name) for prefix in prefixes for name in ("lib", "lib64")}
    found |= {os.path.abspath(entry) for entry in search_path if entry} | set(SYSTEM)
    there = sorted(path for path in found if os.path.exists(path))
    return [path for path in there if not any(path.startswith(other + "/") for other in there)]


class Stage:
    """Where the zygote builds: ``base`` is an empty directory, over which only the zygote sees a file system."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.root = os.path.join(base, "root")
        self.cell = os.path.join(base, "cell")

    def build(self, paths: Iterable[str]) -> None:
        """Build the root from ``paths``; in a mount namespace of one's own. Raises OSError."""
        kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("tmpfs", self.base, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=1m")
        os.mkdir(self.cell, 0o755)
        os.mkdir(self.root, 0o755)
        kernel.mount("tmpfs", self.root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=1m")
        for folder in (BOX, "/dev", "/old"):
            os.mkdir(self.root + folder, 0o755)
        there = list(paths)
        for path in there:
            self._bring(path, there)
        for device in DEVICES:
            self._bind(f"/dev/{device}")
        for link in ("/tmp", "/var/tmp"):
            if not os.path.lexists(self.root + link):  # an interpreter may lie below it: then it is a place to read
                os.makedirs(os.path.dirname(self.root + link), mode=0o755, exist_ok=True)
                os.symlink(f"{WORK}/.tmp", self.root + link)

    def take(self, directory: str) -> None:
        """In a box's own mount namespace: use a directory of the host's for the box. Raises OSError."""
        kernel.mount(directory, self.cell, None, kernel.MS_BIND)

    def enter(self, disk: str | None) -> int:
        """In a box's own mount namespace: bring its directory in and leave everything else. Raises OSError.

        ``disk``: options of the file system for the directory, None where :meth:`take` has brought one.
        Returns a descriptor of the directory, of which the box itself sees only what is below ``turn``.
        """
        if disk is not None:
            kernel.mount("tmpfs", self.cell, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, disk)
        directory = make_directory(self.cell)
        kernel.mount(os.path.join(self.cell, "turn"), self.root + BOX, None, kernel.MS_BIND)
        kernel.syscall("pivot_root", kernel.PIVOT_ROOT, os.fsencode(self.root), os.fsencode(self.root + "/old"))
        os.chdir("/")
        kernel.unmount("/old")
        _read_only("/", recursive=False)
        return directory

    def strike(self) -> None:
        """Take it all down again. Raises OSError."""
        kernel.unmount(self.base)

    def _bring(self, path: str, there: Iterable[str]) -> None:
        """Bind a path read-only; a link such as /lib stays one where what it leads to is brought under its own name."""
        target = os.path.realpath(path)
        if os.path.islink(path) and any(target == other or target.startswith(other + "/") for other in there):
            os.makedirs(os.path.dirname(self.root + path), mode=0o755, exist_ok=True)
            os.symlink(os.readlink(path), self.root + path)
            return
        self._bind(path)
        _read_only(self.root + path, recursive=True)

    def _bind(self, path: str) -> None:
        target = self.root + path
        if os.path.isdir(path):
            os.makedirs(target, mode=0o755, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        kernel.mount(path, target, None, kernel.MS_BIND | kernel.MS_REC)


def make_directory(path: str) -> int:
    """The two halves of a box's directory, ``turn`` (which the box sees) and ``aside``; a descriptor of it."""
    for name, mode in (("turn", 0o755), ("aside", 0o700)):
        os.mkdir(os.path.join(path, name), mode)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _read_only(path: str, *, recursive: bool) -> None:
    """Raises OSError."""
    wanted = _ATTR_RDONLY | _ATTR_NOSUID | (_ATTR_NODEV if recursive else 0)
    attributes = struct.pack("<QQQQ", wanted, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    kernel.syscall("mount_setattr", kernel.MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags, attributes, 32)
