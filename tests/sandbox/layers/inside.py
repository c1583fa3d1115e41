"""Runs lines of Python in a process of their own, for what cannot be undone in one: filters, Landlock, user ids."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[3] / "src"
_FRAME = """
import ctypes, errno, json, mmap, os, socket, sys
sys.path.insert(0, {source!r})
from sport.sandbox.layers import identity, kernel, landlock, refusals, seccomp
ARGUMENT = json.loads(sys.argv[1])

def error_of(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "went through"

{body}
"""


def run(body: str, argument: Any = None) -> subprocess.CompletedProcess[str]:
    """Run ``body``, which finds ``error_of(act)``, ``ARGUMENT`` and the layers' modules."""
    code = _FRAME.format(source=str(SOURCE), body=textwrap.dedent(body))
    words = [sys.executable, "-c", code, json.dumps(argument)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def result(body: str, argument: Any = None) -> Any:
    """What ``body`` left in ``RESULT``."""
    done = run(textwrap.dedent(body) + "\nprint(json.dumps(RESULT))", argument)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
