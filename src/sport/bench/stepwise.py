"""GTA step by step: every turn is asked for after the reference's own prefix, and nothing is run.

A trajectory of it holds, at every step, what the controller wrote and, as its observation, what the reference's tool
said: so it can be read in the report, and a stopped evaluation goes on where it stood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sport.agent.fleet import Job, Trajectories, run_all, trajectory_id
from sport.agent.form import parser
from sport.bench.gta import Item, Turn
from sport.bench.moves import form
from sport.dialect import Dialect
from sport.errors import ContentError, TransientModelError, boundary
from sport.events import Progress
from sport.llm.base import LLM
from sport.seeds import derive
from sport.types import Action, Candidate, End, Observation, Sampling, Step, Task


class Stepwise:
    """Asks for turns greedily and records them.

    Args:
        llm: the controller.
        dialect: how task and observations are worded for it.
        store: where trajectories are kept.
        seed: the run's.
        max_new_tokens: of one turn.
    """

    def __init__(self, llm: LLM, dialect: Dialect, store: Trajectories, *, seed: int, max_new_tokens: int) -> None:
        self._llm = llm
        self._dialect = dialect
        self._store = store
        self._seed = seed
        self._limit = max_new_tokens
        self._parse = parser(dialect.name)
        self._write = form(dialect.name).write

    async def run(
        self, tasks: Sequence[Task], items: Mapping[str, Item], *, iteration: int, in_flight: int, progress: Progress
    ) -> None:
        """Every task whose trajectory has not ended; ``items`` are by task id."""
        progress.start("steps", len(tasks), "tasks")
        jobs: list[Job] = []
        for order, task in enumerate(tasks):
            name = trajectory_id("eval", iteration, task)
            self._store.begin(name, task.id, "eval", iteration, order)
            if self._store.trajectory(name).end is None:
                jobs.append(self._job(name, task, items[task.id], iteration, order, progress))
        progress.advance("steps", len(tasks) - len(jobs))
        await run_all(jobs, self._llm, in_flight)
        progress.finish("steps")

    def _job(self, name: str, task: Task, item: Item, iteration: int, order: int, progress: Progress) -> Job:
        async def job() -> None:
            done = len(self._store.trajectory(name).steps)
            for index in range(done, len(item.turns)):
                await self._turn(name, task, item.turns, index, iteration, order)
            self._store.ended(name, End(state="answered", reason=f"{len(item.turns)} turns of the reference"))
            progress.advance("steps")

        return job

    async def _turn(self, name: str, task: Task, turns: Sequence[Turn], index: int, iteration: int, order: int) -> None:
        partial = self._store.partial(name)
        if partial is not None:
            (candidate,) = partial.candidates
        else:
            candidate = await self._ask(name, task, turns[:index], iteration, order)
            self._store.sampled(name, index, (candidate,))
        if candidate.observation is None:
            candidate = candidate.model_copy(update={"observation": _said(turns[index])})
        step = Step(index=index, candidates=(candidate,), continued_with=0, why="the reference goes on")
        self._store.decided(name, step)

    async def _ask(self, name: str, task: Task, before: Sequence[Turn], iteration: int, order: int) -> Candidate:
        seed = derive(self._seed, "sample", iteration, task.id, len(before))
        sampling = Sampling(temperature=0.0, max_new_tokens=self._limit, seed=seed, order=order)
        messages = self._dialect.history(
            task, [_step(i, turn, self._write(turn.move, turn.thought)) for i, turn in enumerate(before)]
        )
        self._store.asked(name, len(before))
        action = Action(raw="", problem="no text")
        with boundary(f"step {len(before)}", TransientModelError, ContentError) as caught:
            (sample,) = await self._llm.sample(messages, 1, sampling)
            known = {"logprob": sample.logprob, "usage": sample.usage, "source": sample.source}
            action = self._parse(sample.text, sample.finished, self._limit).model_copy(update=known)
        if caught.failure is not None:
            action = Action(raw="", problem=f"{caught.failure.kind}: {caught.failure.message}")
        seen = Observation(outcome="unparsed", error=action.problem) if action.code is None else None
        return Candidate(index=0, action=action, observation=seen)


def _step(index: int, turn: Turn, text: str) -> Step:
    """A turn of the reference as the agent would have written and seen it."""
    action = Action(raw=text)
    return Step(index=index, candidates=(Candidate(index=0, action=action, observation=_said(turn)),), continued_with=0)


def _said(turn: Turn) -> Observation:
    return Observation(outcome="ok", stdout="" if turn.result is None else f"{turn.result}\n")
