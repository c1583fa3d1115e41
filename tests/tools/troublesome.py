"""Tools that misbehave, made in a real worker by import path."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

from sport.errors import ToolError
from sport.tools.base import FileBytes, ToolOutput
from sport.types import Parameter, ToolSpec

WHAT = Parameter(name="what", type="string", description="which way to misbehave")


class Trouble:
    """Does what its argument says, and notes every run in a file."""

    spec = ToolSpec(
        name="trouble",
        description="Misbehave.",
        parameters=(WHAT, Parameter(name="file", type="file", required=False, description="bytes")),
    )

    def __init__(self, notes: str = "") -> None:
        self._notes = notes

    def call(self, what: str, file: FileBytes | None = None):
        if self._notes:
            with Path(self._notes).open("a") as notes:
                notes.write(f"{what} {os.getpid()}\n")
        return getattr(self, what.partition(":")[0])(what, file)

    def fine(self, what, file):
        return {"what": what, "size": len(file.data) if file else None}

    def slow(self, what, file):
        time.sleep(0.3)
        return "slept"

    def meet(self, what, file):
        while len(Path(self._notes).read_text().splitlines()) < 2:
            time.sleep(0.01)
        return "met"

    def hang(self, what, file):
        while True:
            time.sleep(1)

    def swell(self, what, file):
        return len([bytearray(1 << 24) for _ in range(100_000)])

    def exit(self, what, file):
        os._exit(3)

    def leave(self, what, file):
        sys.exit("no more")

    def crash(self, what, file):
        ctypes.string_at(0)

    def refuse(self, what, file):
        raise ToolError("not today")

    def blunder(self, what, file):
        return 1 // 0

    def print(self, what, file):
        print("x" * 100_000)
        os.write(2, b"y" * 100_000)
        return "printed"

    def nan(self, what, file):
        return float("nan")

    def long(self, what, file):
        return "x" * 5_000_000

    def name(self, what, file):
        return ToolOutput(files={"../../etc/passwd": b"x"})

    def files(self, what, file):
        return ToolOutput(value=[1], files={"a.bin": bytes(range(256)), "b.txt": b""})

    def environment(self, what, file):
        return dict(os.environ)

    def brood(self, what, file):
        if (child := os.fork()) == 0:
            threading.Event().wait()
        return child


class Unloadable:
    """Cannot be made."""

    spec = ToolSpec(name="unloadable", description="Never there.")

    def __init__(self) -> None:
        raise ImportError("no module named 'unobtainium'")
