"""Inside: puts filters on this process. They cannot be taken off, and every child has them."""

from __future__ import annotations

import ctypes
import struct

from sport.sandbox.layers import bpf, filters, kernel

SET_MODE_FILTER = 1
NEW_LISTENER = 8


def install(filter_: bytes, flags: int = 0) -> int:
    """Put a filter on; with ``NEW_LISTENER`` the descriptor on which its questions arrive.

    Raises:
        OSError: the kernel has no seccomp, or privileges can still be gained (no_new_privs comes first).
    """
    held = ctypes.create_string_buffer(filter_, len(filter_))
    program = struct.pack("<HxxxxxxQ", len(filter_) // 8, ctypes.addressof(held))
    return kernel.syscall("seccomp", kernel.SECCOMP, SET_MODE_FILTER, flags, program)


def install_gate() -> int:
    """Have the host asked about every fork: the descriptor for it, which has to be handed over.

    Raises:
        OSError: no user notification here, or another process's filter has taken the one listener there may be.
    """
    return install(filters.gate(bpf.NOTIFY), NEW_LISTENER)


def refuse_forks() -> None:
    """For a process that forks no more. Raises OSError."""
    install(filters.gate(bpf.refuse(1)))


def install_refusals(among_host_files: bool = False) -> None:
    """Refuse the rest, ``sendmsg`` included: the gate's descriptor has to be handed over first. Raises OSError."""
    install(filters.refusing(among_host_files))
