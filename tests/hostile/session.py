"""Runs of the runner: started when the first result is asked for, read line by line, begun anew after a death."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostile import cage

SILENCE_S = 100.0
"""No program takes so long: the runner itself hangs."""
_RUNS = itertools.count()


def somebody(user: int) -> int:
    """A user of a run's own: Linux counts processes by user, and a fork bomb in one run must not fail another."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return user + 100 * worker + next(_RUNS) % 100 if os.getuid() == 0 else user


@dataclass
class Run:
    """Programs in one configuration, as root or as an ordinary user."""

    names: Sequence[str]
    settings: Mapping[str, Any]
    user: int | None
    layers: dict[str, str] = field(default_factory=dict)
    _results: dict[str, dict[str, Any]] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def result(self, name: str) -> dict[str, Any]:
        """What came of a program; runs those before it first."""
        while name not in self._results:
            if self._process is None:
                self._start()
            self._read()
        return self._results[name]

    def start(self) -> dict[str, str]:
        """Boot, and the layers as the sandbox reports them."""
        while not self.layers and len(self._results) < len(self.names):
            if self._process is None:
                self._start()
            self._read()
        return self.layers

    def stop(self) -> None:
        """End the runner with all that is in its cage."""
        if self._process is not None:
            self._end(self._process)
        self._stack.close()

    def _start(self) -> None:
        left = [name for name in self.names if name not in self._results]
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sport-hostile-")))
        folder.chmod(0o755)
        words = [sys.executable, "-P", "-m", "hostile.runner", "--root", str(folder / "run")]
        words += ["--settings", json.dumps(dict(self.settings))]
        words += ["--user", str(somebody(self.user))] if self.user is not None else []
        self._said = folder / "stderr"
        groups = self._stack.enter_context(cage.groups())
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                cage.command([*words, *left], groups),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True, env=cage.environment(),
                cwd=folder,
            )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        self._begun: str | None = None
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()

    def _end(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        self._listener.join()
        if process.stdout is not None:
            process.stdout.close()
        self._process = None

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _read(self) -> None:
        try:
            line = self._lines.get(timeout=SILENCE_S)
        except queue.Empty:
            line = ""
        if not line:
            self._died()
            return
        message = json.loads(line)
        if "layers" in message:
            self.layers = message["layers"]
        elif "begin" in message:
            self._begun = message["begin"]
        else:
            self._results[message["name"]] = message

    def _died(self) -> None:
        assert self._process is not None
        status = self._process.poll()
        self._end(self._process)
        said = self._said.read_text(errors="replace")[-1500:]
        words = f"the host {'hung' if status is None else f'ended with status {status}'}: {said}"
        victims = [self._begun] if self._begun else [name for name in self.names if name not in self._results]
        for name in victims:
            self._results.setdefault(name, {"name": name, "complaints": [words], "outcome": None, "shown": ""})
