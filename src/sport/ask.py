"""One question of a user's own (``given.py`` takes it in): the agent run greedily once, and what came of it.

A question leaves a run directory like any other: its trajectory is an evaluation's (purpose "eval", iteration 0) of the
split "user", and it has no key, so nothing is scored. What it does not do: sample, judge or learn.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sport.agent.base import Recorder
from sport.agent.code import CodeAgent
from sport.agent.fleet import trajectory_id
from sport.config import Agent, Config, load
from sport.errors import RunError
from sport.given import Question
from sport.kit import Kit, booted
from sport.sandbox.reach import write_new
from sport.store import Store
from sport.types import Candidate, End, File, Json, Observation, Step, Task, Trajectory

SPLIT = "user"
SETTINGS = Config(name="ask", agent=Agent(max_new_tokens=96))
"""Where no configuration is given: the embedded controller, which writes about 50 tokens a step."""


def settings(config: Path | None = None, adapter: Path | None = None) -> Config:
    """The settings of a question: those of a file or :data:`SETTINGS`, named "ask", with an adapter if one is given.

    Raises:
        ConfigError: the file is missing or wrong.
    """
    found = SETTINGS if config is None else load(config).model_copy(update={"name": SETTINGS.name})
    if adapter is None:
        return found
    controller = found.controller.model_copy(update={"adapter": str(adapter)})
    return found.model_copy(update={"controller": controller})


# --------------------------------------------------------------------------------------------- the asking


async def ask(kit: Kit, question: Question, watch: Recorder | None = None) -> Trajectory:
    """Answer a question with the kit's controller, greedily; returns the trajectory, with or without an answer.

    Tools and sandbox are booted first and put away afterwards; one kit may be asked again and again. ``watch`` hears
    every commit of every step just after the store has it. A trajectory that comes to no answer ends by a limit or as
    "failed": that is a result, not an exception.

    Raises:
        ConfigError: a tool cannot be loaded; inside an exception group, and before anything is stored.
        SandboxError: the sandbox cannot boot; likewise.
        FatalModelError: no further try can help.
        RunError: the store cannot be written.
    """
    store, began = kit.store, time.monotonic()
    async with booted(kit):
        task = _task(store, question)
        name = trajectory_id("eval", 0, task)
        record = store if watch is None else Told(store, watch)
        agent = CodeAgent(
            kit.llm, kit.dialect, kit.sandbox, record, kit.config.agent, seed=kit.config.seed, iteration=0
        )
        store.set_state("running")
        store.begin(name, task.id, "eval", 0, len(store.tasks(SPLIT)) - 1)
        try:
            await agent.run(name, task)
        except BaseException:
            store.set_state("stopped")
            raise
    found = store.trajectory(name)
    note = {"steps": len(found.steps), "end": found.end.state if found.end else None}
    store.finish_stage(0, "ask", time.monotonic() - began, note)
    store.set_state("done")
    store.write_summary()
    return found


class Told:
    """A Recorder over two: ``first`` has committed before ``then`` hears of it."""

    def __init__(self, first: Recorder, then: Recorder) -> None:
        self._both = (first, then)

    def asked(self, trajectory: str, step: int) -> None:
        """See :class:`~sport.agent.base.Recorder`; so for all of them."""
        for recorder in self._both:
            recorder.asked(trajectory, step)

    def sampled(self, trajectory: str, step: int, candidates: Sequence[Candidate]) -> None:
        """One text, for a question is answered greedily."""
        for recorder in self._both:
            recorder.sampled(trajectory, step, candidates)

    def observed(self, trajectory: str, step: int, candidate: int, observation: Observation) -> None:
        """What its code led to; never for a text that could not be parsed."""
        for recorder in self._both:
            recorder.observed(trajectory, step, candidate, observation)

    def decided(self, trajectory: str, step: Step) -> None:
        """The step is done."""
        for recorder in self._both:
            recorder.decided(trajectory, step)

    def ended(self, trajectory: str, end: End) -> None:
        """The trajectory is done."""
        for recorder in self._both:
            recorder.ended(trajectory, end)


def _task(store: Store, question: Question) -> Task:
    """Store the question as the run's next task. Its id does not tell the files' own names, and there is no key."""
    ordinal = len(store.tasks(SPLIT))
    files = tuple(store.put(given.name, given.data, given.media_type) for given in question.files)
    task = Task(id=f"{SPLIT}-{ordinal + 1}", query=question.query, files=files, origin="user")
    store.add_task(task, None, split=SPLIT, iteration=0, ordinal=ordinal)
    return task


# ------------------------------------------------------------------------------------------- what came of it


@dataclass(frozen=True)
class Made:
    """A file that the controller's code made: its name inside, its size in bytes, and where a copy of it lies."""

    name: str
    size: int
    path: Path


def copy_out(store: Store, trajectory: Trajectory, folder: Path) -> list[Made]:
    """Copy the files that the trunk made or changed into ``folder``, each in its last state, in the order of making.

    Code chose the names, so they are made plain (no folders), and numbered where that makes two equal.

    Raises:
        RunError: ``folder`` cannot be written.
    """
    last: dict[str, File] = {}
    for step in trajectory.steps:
        seen = step.trunk.observation
        last.update({file.name: file for file in (seen.files if seen else ())})
    try:
        if last:
            folder.mkdir(parents=True, exist_ok=True)
        return [
            Made(name, file.size, folder / write_new(folder, name, store.read(file))) for name, file in last.items()
        ]
    except OSError as error:
        raise RunError(f"{folder}: the files made cannot be copied there ({error.strerror})") from error


def as_json(trajectory: Trajectory, made: Sequence[Made], run: Path) -> dict[str, Json]:
    """Everything about an answered question that a program may want; ``answer`` is None where there is none.

    ``end`` is "answered" or what else ended it, ``reason`` says more of the latter; times are left out.
    """
    end = trajectory.end
    return {
        "query": trajectory.task.query,
        "answer": end.answer if end else None,
        "end": end.state if end else None,
        "reason": end.reason if end else "",
        "steps": [_step(step) for step in trajectory.steps],
        "files": [{"name": one.name, "size": one.size, "path": str(one.path)} for one in made],
        "run": str(run),
        "trajectory": trajectory.id,
    }


def plain_arguments(arguments: Mapping[str, Json]) -> dict[str, Json]:
    """A call's arguments with files by their names, as the code wrote them."""
    return {
        name: value["name"] if isinstance(value, dict) and "name" in value else value
        for name, value in arguments.items()
    }


def _step(step: Step) -> dict[str, Json]:
    action, seen = step.trunk.action, step.trunk.observation
    assert seen is not None  # a decided trunk has been run
    calls = [
        {
            "name": record.call.name,
            "arguments": plain_arguments(record.call.arguments),
            "value": record.result.value,
            "error": record.result.error,
        }
        for record in seen.calls
    ]
    return {
        "thought": action.thought,
        "code": action.code,
        "outcome": seen.outcome,
        "stdout": seen.stdout,
        "value": seen.value,
        "error": seen.error,
        "calls": calls,
    }
