"""Inside: Landlock, which says for each tree of files what may be done below it, whatever the files' modes say.

It stops neither chmod, utime, setxattr and stat nor, before its fourth version, the network: other walls do. A process
can carry sixteen layers of it; a box has one.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable

from sport.sandbox.layers import kernel

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL_DEV = 1, 2, 4, 8, 1 << 14, 1 << 15
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_REFER = 1 << 13
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READING = _EXECUTE | _READ_FILE | _READ_DIR
_VERSION = 1  # flag: give the version instead of a descriptor
_RULE_PATH_BENEATH = 1


def version() -> int:
    """The version of the interface. Raises OSError where there is none, or it is not switched on."""
    return kernel.syscall("landlock", kernel.LANDLOCK_CREATE, None, 0, _VERSION)


def rights(abi: int) -> int:
    """All rights over files that a version knows.

    >>> [bin(rights(abi)).count("1") for abi in (1, 2, 3, 5)]
    [13, 14, 15, 16]
    """
    known = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        known |= right if abi >= since else 0
    return known


def restrict(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str]) -> int:
    """Confine this process to trees that it may read, trees that it may write, and devices; nothing else opens.

    Raises:
        OSError: no Landlock, a path that is not there, or privileges can still be gained.
    """
    abi = version()
    everything = rights(abi)
    network = 0b11 if abi >= 4 else 0  # binding and connecting TCP
    scopes = 0b11 if abi >= 6 else 0  # abstract sockets, and signals to processes outside
    attributes = struct.pack("<QQQ", everything, network, scopes)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = kernel.syscall("landlock", kernel.LANDLOCK_CREATE, attributes, size, 0)
    try:
        for paths, allowed in (
            (readable, _READING),
            (writable, everything & ~(_MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK | _IOCTL_DEV | _EXECUTE)),
            (devices, _READ_FILE | _WRITE_FILE),
        ):
            for path in paths:
                _allow(ruleset, path, allowed & everything)
        kernel.syscall("landlock", kernel.LANDLOCK_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def _allow(ruleset: int, path: str, allowed: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            allowed &= _FILE_RIGHTS
        rule = struct.pack("<Qi", allowed, place)
        kernel.syscall("landlock", kernel.LANDLOCK_ADD, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(place)
