"""One trial: a tiny run is killed, at a random moment or at a named place, gone on with, and compared.

``python trial.py FOLDER --seconds S --seed K`` or ``... --place NAME`` prints what came of it as one JSON object. It is
a process of its own because it adopts what a killed run leaves (PR_SET_CHILD_SUBREAPER), so that nothing can hide.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sport.store import Store

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "configs" / "tiny.toml"
LIBRARIES = (".ses",)  # onnxruntime keeps its session there, one file for all programs of the machine
GONE_S = 30.0  # within so long a killed run's processes and files must have gone
TIMES = 3  # a place is died at so often in a row
_SUBREAPER = 36


@dataclass
class Outcome:
    """What a trial came to. ``left`` are processes and files that should not be there, each with when it was seen."""

    digest: str = ""
    kills: int = 0
    repeated: int = 0
    in_flight: int = 1
    moments: list[float | str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    wall_s: float = 0.0

    def faults(self, undisturbed: str) -> list[str]:
        """What is wrong with it; empty when nothing is."""
        found = list(self.left)
        if self.digest != undisturbed:
            found.append("the run is not the undisturbed one")
        if self.repeated > self.kills * self.in_flight:
            found.append(f"{self.repeated} calls repeated after {self.kills} kills with {self.in_flight} in flight")
        return found


class Trial:
    """A run in ``folder/run`` whose temporary files are in ``folder/tmp``."""

    def __init__(self, folder: Path, in_flight: int) -> None:
        self.run, self.scratch = folder / "run", folder / "tmp"
        self.scratch.mkdir(parents=True)
        self.outcome = Outcome(in_flight=in_flight)
        self.pids: list[int] = []
        if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "this process cannot adopt orphans")

    def start(self, place: str | None = None) -> subprocess.Popen[str]:
        """Begin the run, or go on with it where there is one."""
        flight = self.outcome.in_flight
        width = ["--set", f"explore.in_flight={flight}", "--set", f"eval.in_flight={flight}"]
        fresh = [str(TINY), "--out", str(self.run), *width]
        words = ["--resume", str(self.run)] if (self.run / "run.db").exists() else fresh
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(self.scratch)}
        environment |= {"CRASH_AT": place} if place else {}
        line = [sys.executable, "-m", "sport.cli", "run", *words]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        process = subprocess.Popen(line, cwd=ROOT, env=environment, text=True, start_new_session=True, **pipes)
        self.pids.append(process.pid)
        return process

    def die_after(self, seconds: float) -> bool:
        """Run for so long and kill; False when the run was done before."""
        process = self.start()
        try:
            _, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self._died(round(seconds, 3))
            return True
        self._must_be(process, err, 0)
        return False

    def die_at(self, place: str) -> bool:
        """Run until it dies there; False when it never came there."""
        process = self.start(place)
        _, err = process.communicate(timeout=600)
        if process.returncode == -signal.SIGKILL:
            self._died(place)
            return True
        self._must_be(process, err, 0)
        return False

    def finish(self) -> Outcome:
        """Go on to the end, undisturbed, and look at what is there."""
        process = self.start()
        _, err = process.communicate(timeout=600)
        self._must_be(process, err, 0)
        self._look("at the end")
        files = [p for p in self.run.rglob("*") if p.name.endswith((".tmp", ".half")) or p.name.startswith("run.db")]
        self.outcome.left += [f"{p.relative_to(self.run)} at the end" for p in files if p.name != "run.db"]
        with Store.view(self.run) as store:
            self.outcome.digest = hashlib.sha256("\n".join(store.dump()).encode()).hexdigest()
            self.outcome.repeated = store.repeated_asks()
        return self.outcome

    def _must_be(self, process: subprocess.Popen[str], err: str, code: int) -> None:
        if process.returncode != code:
            raise RuntimeError(f"the run ended with {process.returncode}:\n{err[-3000:]}")

    def _died(self, moment: float | str) -> None:
        self.outcome.kills += 1
        self.outcome.moments.append(moment)
        self._look(f"after kill {self.outcome.kills} ({moment})")

    def _look(self, when: str) -> None:
        """Wait until nothing is left of it but the run's own directory; what stays is noted, and ended."""
        deadline = time.monotonic() + GONE_S
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.outcome.left += [f"{one} {when}" for one in left]
        for pid in orphans():
            os.kill(pid, signal.SIGKILL)

    def _left(self) -> list[int | Path]:
        """Processes; temporary files; boxes, which lie in memory where the system offers that."""
        files = [path for path in self.scratch.iterdir() if path.name not in LIBRARIES]
        boxes = [path for pid in self.pids for path in Path("/dev/shm").glob(f"sport-{pid}-*")]
        return [*orphans(), *files, *boxes]


def orphans() -> list[int]:
    """Processes that were adopted and live; those that have ended are buried."""
    found = []
    for pid in map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()):
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            found.append(pid)
    return found


def at_random(folder: Path, seed: int, seconds: float) -> Outcome:
    """Killed at a moment of the ``seconds`` that a run takes, every second trial in its resumption once more."""
    rng = random.Random(seed)
    trial = Trial(folder, in_flight=1 if seed % 4 < 2 else 3)
    if trial.die_after(rng.uniform(0, seconds)) and seed % 2:
        trial.die_after(rng.uniform(0, seconds))
    return trial.finish()


def at_place(folder: Path, place: str) -> Outcome:
    """Killed there, and in its resumption there again, :data:`TIMES` in all where it comes there so often."""
    trial = Trial(folder, in_flight=1)
    for _ in range(TIMES):
        if not trial.die_at(place):
            break
    return trial.finish()


def undisturbed(folder: Path) -> Outcome:
    """The run that all others are compared with; ``wall_s`` is what it took."""
    began = time.monotonic()
    outcome = Trial(folder, in_flight=1).finish()
    outcome.wall_s = time.monotonic() - began
    return outcome


def apart(folder: Path, *words: str) -> Outcome:
    """A trial in a process of its own: ``words`` are its arguments after the folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    line = [sys.executable, __file__, str(folder), *words]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words) or 'undisturbed'}: {done.stderr[-3000:]}")
    return Outcome(**json.loads(done.stdout))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place")
    given = parser.parse_args(arguments)
    if given.place:
        outcome = at_place(given.folder, given.place)
    elif given.seconds:
        outcome = at_random(given.folder, given.seed, given.seconds)
    else:
        outcome = undisturbed(given.folder)
    sys.stdout.write(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
