"""Many trajectories at once, each from wherever it stands: shared by exploration and evaluation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from sport.agent.base import Recorder
from sport.agent.code import CodeAgent
from sport.agent.running import together
from sport.events import Progress
from sport.llm.base import LLM
from sport.types import Purpose, Step, Task, Trajectory

Job = Callable[[], Awaitable[None]]


class Trajectories(Recorder, Protocol):
    """The part of a store that holds trajectories."""

    def begin(self, trajectory_id: str, task_id: str, purpose: Purpose, iteration: int, ordinal: int) -> None:
        """Note that a trajectory exists; a second time does nothing."""

    def finished(self, purpose: Purpose, iteration: int) -> set[str]:
        """Ids of the trajectories that have ended."""
        ...

    def trajectory(self, trajectory_id: str) -> Trajectory:
        """Its decided steps and its end, if it has one."""
        ...

    def partial(self, trajectory_id: str) -> Step | None:
        """What there is of its undecided step: candidates, and observations where runs have ended."""
        ...


def trajectory_id(purpose: Purpose, iteration: int, task: Task) -> str:
    """The name of a task's trajectory in a run.

    >>> trajectory_id("explore", 2, Task(id="label-17", query=""))
    'explore.2.label-17'
    """
    return f"{purpose}.{iteration}.{task.id}"


async def run_all(jobs: Sequence[Job], llm: LLM, in_flight: int) -> None:
    """Do all jobs in ``in_flight`` lanes of the engine; each lane takes the next job in order.

    All lanes are entered before the first job starts, so that an engine that batches sees them all. An error that a
    job lets through cancels the others and is raised as itself.
    """
    count = min(in_flight, len(jobs))
    gate, waiting = asyncio.Barrier(max(count, 1)), iter(jobs)

    async def lane() -> None:
        async with llm.lane():
            await gate.wait()
            for job in waiting:
                await job()

    await together(lane() for _ in range(count))


async def run_tasks(
    tasks: Sequence[Task],
    agent: CodeAgent,
    store: Trajectories,
    llm: LLM,
    *,
    purpose: Purpose,
    iteration: int,
    in_flight: int,
    progress: Progress,
    stage: str,
) -> None:
    """Bring the trajectory of every task to its end. One that has ended is left alone; one that is half done goes on.

    A trajectory's place in ``tasks`` is its ordinal and the order in which engines batch it. It is begun, and what
    there is of it read, when its turn comes: neither start nor resumption takes longer with every trajectory.
    """
    progress.start(stage, len(tasks), "tasks")
    ended = store.finished(purpose, iteration)
    jobs: list[Job] = []
    for order, task in enumerate(tasks):
        name = trajectory_id(purpose, iteration, task)
        if name not in ended:
            begin = partial(store.begin, name, task.id, purpose, iteration, order)
            jobs.append(_job(agent, store, begin, name, task, order, progress, stage))
    progress.advance(stage, len(tasks) - len(jobs))
    await run_all(jobs, llm, in_flight)
    progress.finish(stage)


def _job(
    agent: CodeAgent,
    store: Trajectories,
    begin: Callable[[], None],
    name: str,
    task: Task,
    order: int,
    progress: Progress,
    stage: str,
) -> Job:
    async def job() -> None:
        begin()
        _, end = await agent.run(name, task, order, store.trajectory(name).steps, store.partial(name))
        progress.advance(stage, note=end.state)

    return job
