"""The store at scale: ``python benchmarks/store.py [--candidates 1000000] [--json OUT]``.

Trajectories of five steps of five candidates are written as an exploration writes them, one commit after another, until
there are so many candidates. Every thousandth step is timed as it is in a run, each of its commits by itself; the rest
goes in without waiting for the disk, since a million candidates at its pace take hours. Then a run that was stopped
there is looked at as ``--resume`` does and as the report does.

- commit: one of a step's durable commits (asked, sampled, observed, decided), written and synced
- resume: open the run, find what has ended, and read what there is of the first trajectories that have not
- page: the query behind a page of 50 trajectories, steps, candidates and observations included
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sport.config import Config
from sport.store import Store
from sport.types import Action, CallRecord, Candidate, End, Observation, Step, Task, ToolCall, ToolResult, Verdict

STEPS, N = 5, 5
EVERY = 1000  # steps between two that are timed
OPEN = 32  # trajectories that were under way when the run was stopped
PAGE = 50
GOALS = {"commit_p50_ms": 5.0, "resume_s": 2.0, "page_ms": 100.0}


def candidates(number: int, step: int) -> list[Candidate]:
    """Texts of about the size that a model of several billion parameters writes."""
    made = []
    for index in range(N):
        thought = (
            f"I look at the picture once more, since line {step} of table {number} may be read in {index + 2} ways. "
        )
        value = f"value_{index} = rows.count('{number}') + {step}"
        code = f"rows = inspect_file_as_text('file_1.xlsx')\n{value}\nprint(value_{index})"
        raw = f"Thought: {thought * 3}\nCode:\n```py\n{code}\n```"
        made.append(
            Candidate(index=index, action=Action(raw=raw, thought=thought * 3, code=code, source="model@server"))
        )
    return made


def observation(number: int, index: int) -> Observation:
    """A tool's answer and some output: 2 KB or so."""
    text = f"| name | price |\n| item {number} | {index} |\n" * 20
    call = ToolCall(name="inspect_file_as_text", arguments={"file": {"file": "0" * 64, "name": "file_1.xlsx"}})
    calls = (CallRecord(call=call, result=ToolResult(value=text, wall_s=0.2)),)
    return Observation(outcome="ok", stdout=f"{index}\n", calls=calls, wall_s=0.3, cpu_s=0.02)


class Writer:
    """Writes trajectories through the store's own methods and times some of their commits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._steps = 0
        self.times: list[float] = []

    def trajectory(self, number: int, ends: bool = True) -> None:
        """One task and its tree; without its end, the last step stays undecided."""
        task = Task(id=f"t{number:07d}", query=f"What does item {number} cost?")
        name = f"explore.1.{task.id}"
        self._store.add_task(task, None, split="explore", iteration=1, ordinal=number)
        self._store.begin(name, task.id, "explore", 1, number)
        for index in range(STEPS):
            self._step(name, number, index, decide=ends or index + 1 < STEPS)
        if ends:
            self._store.ended(name, End(state="answered", answer=str(number)))

    def _step(self, name: str, number: int, index: int, decide: bool) -> None:
        self._steps += 1
        if self._steps % EVERY == 0:
            with durable(self._store):
                return self._commits(name, number, index, decide, self._timed)
        return self._commits(name, number, index, decide, lambda commit: commit())

    def _commits(
        self, name: str, number: int, index: int, decide: bool, do: Callable[[Callable[[], None]], None]
    ) -> None:
        some = candidates(number, index)
        do(lambda: self._store.asked(name, index))
        do(lambda: self._store.sampled(name, index, some))
        seen = [one.model_copy(update={"observation": observation(number, one.index)}) for one in some]
        for one in seen:
            place, what = one.index, one.observation
            assert what is not None
            do(lambda place=place, what=what: self._store.observed(name, index, place, what))  # type: ignore[misc]
        if decide:
            step = Step(
                index=index, candidates=tuple(seen), verdict=Verdict(best=0, reason="It looked.", critic="none")
            )
            do(lambda: self._store.decided(name, step))

    def _timed(self, commit: Callable[[], None]) -> None:
        began = time.perf_counter()
        commit()
        self.times.append(time.perf_counter() - began)


def connection(store: Store) -> sqlite3.Connection:
    """The store's own, for what no run does: waiting for the disk only now and then."""
    found: sqlite3.Connection = store._database._connection
    return found


@contextmanager
def durable(store: Store) -> Iterator[None]:
    """Inside, commits wait for the disk as they do in a run."""
    connection(store).execute("PRAGMA synchronous = FULL")
    try:
        yield
    finally:
        connection(store).execute("PRAGMA synchronous = OFF")


def filled(folder: Path, wanted: int) -> list[float]:
    """Write the run; times of commits, in seconds."""
    with Store.create(folder, Config(name="large")) as store:
        writer = Writer(store)
        connection(store).execute("PRAGMA synchronous = OFF")
        count = max(PAGE, wanted // (STEPS * N))
        for number in range(count):
            writer.trajectory(number, ends=number < count - OPEN)
        with durable(store):
            store.set_state("stopped")
    return writer.times


def resumed(folder: Path) -> float:
    """Seconds until a resumed exploration could ask its first question."""
    began = time.perf_counter()
    with Store.open(folder) as store:
        tasks = store.tasks("explore", 1)
        ended = store.finished("explore", 1)
        left = [task for task in tasks if f"explore.1.{task.id}" not in ended]
        assert len(left) == OPEN
        for task in left:
            name = f"explore.1.{task.id}"
            assert len(store.trajectory(name).steps) == STEPS - 1
            assert store.partial(name) is not None
        return time.perf_counter() - began


def paged(folder: Path, repeats: int = 5) -> float:
    """Seconds for 50 trajectories from the middle, median."""
    with Store.view(folder) as store:
        names = [outline.id for outline in store.outlines("explore", 1)]
        middle = names[len(names) // 2 :][:PAGE]
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            read = [store.trajectory(name) for name in middle]
            times.append(time.perf_counter() - began)
            assert sum(len(tree.steps) for tree in read) >= (STEPS - 1) * len(middle)
    return statistics.median(times)


def measure(folder: Path, wanted: int) -> dict[str, float]:
    """All figures."""
    began = time.perf_counter()
    times = sorted(filled(folder, wanted))
    written = time.perf_counter() - began
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "candidates": wanted,
        "commits_timed": len(times),
        "commit_p50_ms": 1000 * statistics.median(times),
        "commit_p99_ms": 1000 * times[int(len(times) * 0.99)],
        "size_mb": size / 1e6,
        "resume_s": resumed(folder),
        "page_ms": 1000 * paged(folder),
        "filled_s": written,
    }


def table(figures: dict[str, float], names: Sequence[str]) -> None:
    """Print as Markdown."""
    print("| | measured | goal |\n|---|---:|---:|")
    for name in names:
        goal = f"< {GOALS[name]:g}" if name in GOALS else ""
        print(f"| {name} | {figures[name]:,.2f} | {goal} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="of a disk to measure; default: the system's temporary one")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="store-", dir=given.folder) as home:
        figures = measure(Path(home) / "run", given.candidates)
    table(figures, list(figures))
    where = f"{platform.platform()}, {os.cpu_count()} cores, {datetime.date.today()}"
    print(f"\n{where}")
    if given.json:
        given.json.write_text(json.dumps({"machine": where, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
