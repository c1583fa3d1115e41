"""The store at scale: ``python benchmarks/store.py [--candidates 1000000] [--json OUT]``.

Trajectories of five steps of five candidates are written as an exploration writes them, one commit after another, until
there are so many candidates. One trajectory in 200 is written as in a run, each of its commits timed by itself; the
rest goes in without waiting for the disk. Then a run that was stopped there is looked at as ``--resume`` does and as
the report does.

- commit: one of the two commits of a step that wait for the disk (sampled: what was paid for; decided: the verdict)
- note: one of its others (asked, each observation), which cost nothing to do again and go to disk with the next commit
- resume: open the run, find what has ended, and read what there is of the first trajectories that have not
- page: the query behind a page of 50 trajectories, steps, candidates and observations included
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from sport.config import Config
from sport.store import Store
from sport.types import Action, CallRecord, Candidate, End, Observation, Step, Task, ToolCall, ToolResult, Verdict

STEPS, N = 5, 5
EVERY = 200  # trajectories, of which one is timed
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
    """Writes trajectories through the store's own methods. ``commits`` and ``notes``: seconds that some writes took."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.commits: list[float] = []
        self.notes: list[float] = []

    def trajectory(self, number: int, ends: bool = True) -> None:
        """One task and its tree; without its end, the last step stays undecided."""
        if number % EVERY == 0:
            self._write(number, ends, self.commits, self.notes)
        else:
            with hasty(self._store):
                self._write(number, ends, [], [])

    def _write(self, number: int, ends: bool, commits: list[float], notes: list[float]) -> None:
        task = Task(id=f"t{number:07d}", query=f"What does item {number} cost?")
        name = f"explore.1.{task.id}"
        # durable and not timed: it brings to disk what was written without waiting; commits below must not pay for that
        self._store.add_task(task, None, split="explore", iteration=1, ordinal=number)
        self._store.begin(name, task.id, "explore", 1, number)
        for index in range(STEPS):
            some = candidates(number, index)
            seen = [one.model_copy(update={"observation": observation(number, one.index)}) for one in some]
            notes.append(seconds(self._store.asked, name, index))
            commits.append(seconds(self._store.sampled, name, index, some))
            notes += [seconds(self._store.observed, name, index, one.index, one.observation) for one in seen]
            if ends or index + 1 < STEPS:
                verdict = Verdict(best=0, reason="It looked.", critic="none")
                step = Step(index=index, candidates=tuple(seen), verdict=verdict)
                commits.append(seconds(self._store.decided, name, step))
        if ends:
            self._store.ended(name, End(state="answered", answer=str(number)))


def seconds(write: Callable[..., None], *given: Any) -> float:
    """What a call takes."""
    began = time.perf_counter()
    write(*given)
    return time.perf_counter() - began


@contextmanager
def hasty(store: Store) -> Iterator[None]:
    """Inside, no commit waits for the disk, which no run does."""
    database = store._database
    plain = database.transaction

    def fast(*, durable: bool = True) -> Any:
        return plain(durable=False)

    database.transaction = fast  # type: ignore[method-assign]
    try:
        yield
    finally:
        del database.transaction


def filled(folder: Path, wanted: int) -> tuple[list[float], list[float]]:
    """Write the run; times of commits and of notes, in seconds."""
    count = max(PAGE, wanted // (STEPS * N))
    with Store.create(folder, Config(name="large")) as store:
        writer = Writer(store)
        for number in track(range(count), "writing", console=Console(stderr=True)):
            writer.trajectory(number, ends=number < count - OPEN)
        store.set_state("stopped")
    return writer.commits, writer.notes


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
    commits, notes = map(sorted, filled(folder, wanted))
    written = time.perf_counter() - began
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "candidates": wanted,
        "commits_timed": len(commits),
        "commit_p50_ms": 1000 * statistics.median(commits),
        "commit_p99_ms": 1000 * commits[int(len(commits) * 0.99)],
        "note_p50_ms": 1000 * statistics.median(notes),
        "note_p99_ms": 1000 * notes[int(len(notes) * 0.99)],
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
