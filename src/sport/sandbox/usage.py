"""Host: what a process has used, by the kernel's word and not by its own."""

from __future__ import annotations

import os
from pathlib import Path

_USER, _SYSTEM = 11, 12  # fields of /proc/PID/stat behind the command's name


def cpu_seconds(pid: int) -> float | None:
    """Seconds of processor time of a process, all its threads together; None where that cannot be told.

    The kernel counts in steps of 10 ms, and forgets a process as soon as it is reaped. Children are not counted: what
    code forks in a box is refused or swept.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # it is gone, or this is not Linux
        return None
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")
