"""Starts a command that dies with whoever started it: ``python -m sport.tools.leash COMMAND...``. Linux.

A worker that misses its deadline is killed, and the servers that it started lead sessions of their own, which no signal
to its group reaches.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> None:
    """Become ``command``; exit code 127 when there is none."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
