"""Inside: who a box is. An own user id where root starts it, no capabilities anywhere, and no way to get any."""

from __future__ import annotations

import os
import struct
from collections.abc import Collection

from sport.sandbox.layers import kernel

FIRST_UID = 100_000  # people and services have lower ones
_CAPABILITIES_3 = 0x20080522
_NOBODY = 65534


def free_uid(used: Collection[int], seed: int) -> int:
    """A user id for a box that no other box of this zygote has, and hardly one of another run's.

    Raises:
        OSError: the user namespace that we are in maps too few ids to spare one.
    """
    first, count = max(_mapped(), key=lambda extent: extent[1])
    low = max(first, FIRST_UID) if first + count > FIRST_UID else max(first, 1)
    span = min(first + count, 2**31) - low
    if span < 2:
        raise OSError("no user id to spare in this user namespace")
    uid = low + (seed * 2_654_435_761 + len(used)) % span
    while uid in used or uid == _NOBODY:
        uid = low + (uid - low + 1) % span
    return uid


def become(uid: int) -> None:
    """Take on a user and group id, the real, effective and saved ones, and no further groups. Raises OSError."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def new_user_namespace(flags: int, here: int) -> None:
    """Enter a user namespace of one's own, where one stays who one was and has every capability. Raises OSError.

    ``flags``: further namespaces that come with it. ``here``: a descriptor of one's directory in /proc, which need not
    be in sight.
    """
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.NEWUSER | flags)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        file = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=here)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)


def bound_capabilities() -> None:
    """Empty the bounding set, from which executed programs refill the others; while there is still the right to."""
    for capability in range(64):
        try:
            kept = kernel.prctl(kernel.PR_CAPBSET_READ, capability)
        except OSError:  # beyond the last one that this kernel knows
            break
        if kept:
            try:
                kernel.prctl(kernel.PR_CAPBSET_DROP, capability)
            except PermissionError:  # without CAP_SETPCAP: an ordinary user's bounding set; no_new_privs covers it
                break


def drop_capabilities() -> None:
    """Empty the other four sets: ambient, permitted, effective and inheritable. Raises OSError."""
    kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("<Ii", _CAPABILITIES_3, 0)
    kernel.syscall("capset", kernel.CAPSET, header, bytes(24))


def no_new_privileges() -> None:
    """Whatever is executed gives no more rights; also what seccomp and Landlock ask for. Raises OSError."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)


def hide_memory() -> None:
    """Not dumpable: no process of the same user reads or traces this one. Raises OSError."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def holds(capability: int) -> bool:
    """Whether a capability is effective in this process, by its number."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            word = next(line.split()[1] for line in file if line.startswith("CapEff:"))
    except OSError:
        return False
    return bool(int(word, 16) >> capability & 1)


def _mapped() -> list[tuple[int, int]]:
    """(first id, how many) of each extent of ids that exist in this user namespace."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        rows = [line.split() for line in file]
    return [(int(first), int(count)) for first, _, count in rows]
