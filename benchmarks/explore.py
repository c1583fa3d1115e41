"""How much of a server exploration keeps busy: ``python benchmarks/explore.py [--quick] [--json OUT]``.

A loopback server with a capacity - 8 slots, 500 ms a call whatever ``n`` is, so at most 16 calls or 8 steps a second -
serves controller and critic. Everything else is real: HTTP, sandbox, a tool by call, store. Every row is a process of
its own. Figures of a steady window (from the first trajectory's end until the last one begins) are marked *.

- slots *: share of the server's slot time that was in use
- steps/s *: decided steps
- added ms: time of a step that was spent outside of calls, on average: sandbox, store, waiting for the processor
- driver ms, boxes ms: processor time a step
- limit: steps/s that the machine could do at most, its cores divided by both
- peak MB: resident memory of the driver

``naive`` is not this project: it is how the method's first public code is built - two sampling calls a step, one
trajectory at a time, candidates one after another, nothing overlaps - over the same server, sandbox and store.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loopback import CRITIC, Loopback, running
from workload import AskedCritic, add_tasks, booted, engine, exploring, settings

from sport.config import SandboxSection
from sport.dialect import Dialect
from sport.events import Silent
from sport.llm.endpoint import EndpointLLM
from sport.sandbox.forked import ForkedSandbox
from sport.seeds import derive
from sport.store import Store
from sport.types import Candidate, End, Message, Observation, Sample, Sampling, Step, Task

N, STEPS, SLOTS, DELAY_S = 5, 2, 8, 0.5
LEVELS = {1: 24, 8: 160, 32: 400, 64: 640, 256: 1500}
"""Trajectories in flight, and how many steps are measured."""

NAIVE = "naive"


@dataclass
class Row:
    """What one row measured; None where a row is too short to have a steady window."""

    name: str
    steps: int
    slots: float | None
    steps_s: float | None
    added_ms: float
    driver_ms: float
    boxes_ms: float
    peak_mb: float
    runs: int = 0
    equal: int = 0


class Counting(Store):
    """A store that knows when its steps were decided and its trajectories were begun."""

    decided_at: list[float]
    begun: dict[str, float]
    lasted_s: float
    runs: int
    equal: int

    def reset(self) -> None:
        """Count from here."""
        self.decided_at, self.begun, self.lasted_s, self.runs, self.equal = [], {}, 0.0, 0, 0

    def begin(self, trajectory_id: str, task_id: str, purpose: Any, iteration: int, ordinal: int) -> None:
        """Begin, and note when."""
        self.begun[trajectory_id] = time.monotonic()
        super().begin(trajectory_id, task_id, purpose, iteration, ordinal)

    def sampled(self, trajectory: str, step: int, candidates: Sequence[Candidate]) -> None:
        """Commit, and count equal ones."""
        self.equal += sum(candidate.same_as is not None for candidate in candidates)
        super().sampled(trajectory, step, candidates)

    def observed(self, trajectory: str, step: int, candidate: int, observation: Observation) -> None:
        """Commit, and count."""
        self.runs += 1
        super().observed(trajectory, step, candidate, observation)

    def decided(self, trajectory: str, step: Step) -> None:
        """Commit, and note when."""
        super().decided(trajectory, step)
        self.decided_at.append(time.monotonic())

    def ended(self, trajectory: str, end: End) -> None:
        """Commit, and add up how long it took."""
        super().ended(trajectory, end)
        self.lasted_s += time.monotonic() - self.begun[trajectory]


class Ends(Silent):
    """Counts ends of trajectories."""

    done = 0

    def advance(self, stage: str, count: int = 1, note: str = "") -> None:
        """One more."""
        self.done += count


class Calls:
    """Seconds spent in calls, over all engines while it is in force."""

    def __init__(self) -> None:
        self.total_s = 0.0
        self._plain = EndpointLLM.sample

    def __enter__(self) -> Calls:
        """Measure."""
        calls, plain = self, self._plain

        async def timed(llm: EndpointLLM, messages: Sequence[Message], n: int, sampling: Sampling) -> list[Sample]:
            began = time.monotonic()
            try:
                return await plain(llm, messages, n, sampling)
            finally:
                calls.total_s += time.monotonic() - began

        EndpointLLM.sample = timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        """Measure no longer."""
        EndpointLLM.sample = self._plain  # type: ignore[method-assign]


def resident_mb() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def tree_cpu_s(pid: int) -> float:
    """Of a process and of all below it that it has reaped, and of those that live."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own + sum(tree_cpu_s(int(child)) for child in below)


async def level(store: Counting, server: Loopback, in_flight: int, tasks: int) -> Row:
    """One row: explore everything, and watch."""
    ends, peak, window = Ends(), 0.0, []
    async with booted(store) as sandbox:
        store.reset()
        boxes, driver = tree_cpu_s(sandbox.zygote.pid), time.process_time()
        with Calls() as calls:
            work = asyncio.create_task(exploring(store, sandbox, ends))
            while not work.done():
                await asyncio.wait([work], timeout=0.1)
                peak = max(peak, resident_mb())
                if (not window and ends.done >= 1) or (len(window) == 1 and ends.done >= tasks - in_flight):
                    busy = await asyncio.to_thread(server.stats)
                    window.append((time.monotonic(), float(busy["busy_s"])))
            await work
        driver = time.process_time() - driver
        boxes = tree_cpu_s(sandbox.zygote.pid) - boxes
    steps = len(store.decided_at)
    share, rate = steady(window, store.decided_at)
    return Row(
        f"{in_flight}", steps, share, rate, 1000 * (store.lasted_s - calls.total_s) / steps, 1000 * driver / steps,
        1000 * boxes / steps, peak, store.runs, store.equal,
    )  # fmt: skip


def steady(window: Sequence[tuple[float, float]], decided: Sequence[float]) -> tuple[float | None, float | None]:
    """Share of slot time and steps a second between the window's two ends."""
    if len(window) < 2 or window[1][0] - window[0][0] < 2.0:
        return None, None
    (begin, busy_before), (end, busy_after) = window
    inside = sum(begin <= moment < end for moment in decided)
    return (busy_after - busy_before) / (SLOTS * (end - begin)), inside / (end - begin)


async def naive(store: Counting, server: Loopback, tasks: Sequence[Task]) -> Row:
    """The first public code's structure; a step's state is kept as ours is, or its steps could not be compared."""
    served = store.config.controller.endpoint
    llm = engine(store, "controller", served)
    critic = AskedCritic(engine(store, "critic", served.model_copy(update={"model": CRITIC})))
    async with booted(store) as sandbox:
        store.reset()
        boxes, driver = tree_cpu_s(sandbox.zygote.pid), time.process_time()
        with Calls() as calls:
            began = time.monotonic()
            for task in tasks:
                await _one(store, llm, critic, sandbox, task)
            wall, busy = time.monotonic() - began, server.stats()["busy_s"]
        driver = time.process_time() - driver
        boxes = tree_cpu_s(sandbox.zygote.pid) - boxes
    steps = len(store.decided_at)
    return Row(
        NAIVE, steps, busy / (SLOTS * wall), steps / wall, 1000 * (wall - calls.total_s) / steps, 1000 * driver / steps,
        1000 * boxes / steps, resident_mb(), store.runs, 0,
    )  # fmt: skip


async def _one(store: Counting, llm: EndpointLLM, critic: AskedCritic, sandbox: ForkedSandbox, task: Task) -> None:
    from sport.agent.parse import parse

    dialect, history = Dialect("react-1", []), []
    state = await sandbox.open(task.id, task.files)
    for index in range(STEPS):
        seed = derive("naive", task.id, index)
        messages = dialect.history(task, history)
        samples = await llm.sample(messages, N // 2, Sampling(seed=seed))
        samples += await llm.sample(messages, N - N // 2, Sampling(seed=seed + 1))
        made, states = [], []
        for place, sample in enumerate(samples):
            action = parse(sample.text, sample.finished)
            future = await state.fork()
            seen = await future.run(str(action.code), seed)
            store.runs += 1
            states.append(future)
            made.append(Candidate(index=place, action=action, observation=seen))
        verdict = await critic.judge(task, history, made, seed)
        best = verdict.best or 0
        for old in (state, *(one for place, one in enumerate(states) if place != best)):
            await old.close()
        state = states[best]
        history.append(Step(index=index, candidates=tuple(made), verdict=verdict))
        store.decided_at.append(time.monotonic())
    await state.close()


def row(name: str, steps: int, length: int, delay_s: float, libraries: tuple[str, ...] = ()) -> Row:
    """One row, here and now."""
    in_flight, tasks = 1 if name == NAIVE else int(name), max(1, steps // length)
    with running(SLOTS, delay_s) as server, tempfile.TemporaryDirectory(prefix="explore-") as home:
        chosen = settings(server.url, n=N, in_flight=in_flight, libraries=libraries)
        with Counting.create(Path(home) / "run", chosen) as store:
            assert isinstance(store, Counting)
            add_tasks(store, [f"Do it in {length} steps, number {i}." for i in range(tasks)])
            if name == NAIVE:
                return asyncio.run(naive(store, server, store.tasks("explore", 0)))
            return asyncio.run(level(store, server, in_flight, tasks))


def apart(*words: str) -> Row:
    """One row in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return Row(**json.loads(done.stdout))


def table(rows: Sequence[Row], title: str) -> None:
    """Print as Markdown."""
    cores = os.cpu_count() or 1
    print(f"\n| {title} | steps | slots * | steps/s * | added ms | driver ms | boxes ms | limit | peak MB |")
    print("|---|" + "---:|" * 8)
    for one in rows:
        limit = 1000 * cores / (one.driver_ms + one.boxes_ms)
        shares = (
            "-" if one.slots is None else f"{one.slots:.1%}",
            "-" if one.steps_s is None else f"{one.steps_s:.2f}",
        )
        cells = (one.name, one.steps, *shares, f"{one.added_ms:.0f}", f"{one.driver_ms:.1f}", f"{one.boxes_ms:.1f}")
        print("| " + " | ".join(map(str, (*cells, f"{limit:.0f}", f"{one.peak_mb:.0f}"))) + " |")


def main() -> None:
    """Print the tables, or one row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="an eighth of the steps, and no more than 64 in flight")
    parser.add_argument("--libraries", action="store_true", help="boxes hold all libraries of the default settings")
    parser.add_argument("--json", type=Path)
    for name, kind in (("--row", str), ("--steps", int), ("--length", int), ("--delay", float)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()
    libraries = SandboxSection().libraries if given.libraries else ()
    if given.row:
        print(json.dumps(asdict(row(given.row, given.steps, given.length, given.delay, libraries))))
        return
    part = 8 if given.quick else 1
    levels = {f: s // part for f, s in LEVELS.items() if not given.quick or f <= 64}
    loaded = ("--libraries",) if given.libraries else ()
    delay = ("--length", str(STEPS), "--delay", str(DELAY_S), *loaded)
    rows = [apart("--row", str(f), "--steps", str(max(s, 4)), *delay) for f, s in levels.items()]
    rows.append(apart("--row", NAIVE, "--steps", str(24 // part), *delay))
    table(rows, "in flight")
    quick = ("--length", "1", "--delay", "0.0", *loaded)
    flat = [apart("--row", "32", "--steps", str(count // part), *quick) for count in (100, 2000)]
    for one, count in zip(flat, (100, 2000), strict=True):
        one.name = f"{count // part} one-step tasks, 32 in flight, no delay"
    table(flat, "memory")
    where = f"{platform.platform()}, {os.cpu_count()} cores, {datetime.date.today()}"
    print(f"\n{where}; n = {N}, {STEPS} steps a trajectory, {SLOTS} slots of {DELAY_S:g} s; {len(libraries)} libraries")
    if given.json:
        data = {"machine": where, "rows": [asdict(one) for one in (*rows, *flat)]}
        given.json.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
