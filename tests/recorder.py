"""The store's twin in memory: the three commits of a step, and what a kill would leave of them."""

from __future__ import annotations

from collections.abc import Sequence

from sport.types import Candidate, End, Observation, Purpose, Step, Task, Trajectory


class Killed(BaseException):
    """A kill -9 as a test can have it: nothing after it is recorded."""


class MemoryRecorder:
    """Keeps commits by kind, in order; ``kill_after`` commits the next one raises :class:`Killed` instead."""

    def __init__(self, tasks: Sequence[Task], kill_after: int | None = None) -> None:
        self.tasks = {task.id: task for task in tasks}
        self.kill_after = kill_after
        self.commits: list[tuple[str, ...]] = []
        self.asks: dict[tuple[str, int], int] = {}
        self._begun: dict[str, tuple[str, Purpose, int, int]] = {}
        self._candidates: dict[tuple[str, int], dict[int, Candidate]] = {}
        self._steps: dict[str, list[Step]] = {}
        self._ends: dict[str, End] = {}

    def finished(self, purpose: Purpose, iteration: int) -> set[str]:
        return {name for name in self._ends if self._begun[name][1:3] == (purpose, iteration)}

    def _commit(self, *what: object) -> None:
        if self.kill_after is not None and len(self.commits) >= self.kill_after:
            raise Killed
        self.commits.append(tuple(map(str, what)))

    def begin(self, trajectory_id: str, task_id: str, purpose: Purpose, iteration: int, ordinal: int) -> None:
        if trajectory_id not in self._begun:
            self._begun[trajectory_id] = (task_id, purpose, iteration, ordinal)

    def asked(self, trajectory: str, step: int) -> None:
        self._commit("asked", trajectory, step)
        self.asks[trajectory, step] = self.asks.get((trajectory, step), 0) + 1

    def sampled(self, trajectory: str, step: int, candidates: Sequence[Candidate]) -> None:
        assert (trajectory, step) not in self._candidates, "sampled again"
        self._commit("sampled", trajectory, step)
        self._candidates[trajectory, step] = {c.index: c for c in candidates}

    def observed(self, trajectory: str, step: int, candidate: int, observation: Observation) -> None:
        held = self._candidates[trajectory, step]
        assert held[candidate].observation is None, "observed again"
        self._commit("observed", trajectory, step, candidate)
        held[candidate] = held[candidate].model_copy(update={"observation": observation})

    def decided(self, trajectory: str, step: Step) -> None:
        assert step.trunk.observation is not None
        assert step.candidates == tuple(self._candidates[trajectory, step.index].values())
        assert len(self._steps.get(trajectory, [])) == step.index
        self._commit("decided", trajectory, step.index)
        self._steps.setdefault(trajectory, []).append(step)

    def ended(self, trajectory: str, end: End) -> None:
        assert trajectory not in self._ends
        self._commit("ended", trajectory)
        self._ends[trajectory] = end

    def trajectory(self, trajectory_id: str) -> Trajectory:
        task, purpose, iteration, _ = self._begun[trajectory_id]
        return Trajectory(
            id=trajectory_id,
            task=self.tasks[task],
            purpose=purpose,
            iteration=iteration,
            steps=tuple(self._steps.get(trajectory_id, ())),
            end=self._ends.get(trajectory_id),
        )

    def partial(self, trajectory_id: str) -> Step | None:
        index = len(self._steps.get(trajectory_id, ()))
        held = self._candidates.get((trajectory_id, index))
        return Step(index=index, candidates=tuple(held.values())) if held else None

    def dump(self) -> list[str]:
        """All trajectories without times, in order."""
        lines = []
        for name in sorted(self._begun):
            for step in self.trajectory(name).steps:
                bare = tuple(c.model_copy(update={"observation": _timeless(c.observation)}) for c in step.candidates)
                lines.append(name + step.model_copy(update={"candidates": bare}).model_dump_json())
            lines.append(f"{name} {self._ends.get(name)}")
        return lines


def _timeless(seen: Observation | None) -> Observation | None:
    if seen is None:
        return None
    calls = tuple(
        call.model_copy(update={"result": call.result.model_copy(update={"wall_s": 0.0, "cached": False})})
        for call in seen.calls
    )
    return seen.model_copy(update={"wall_s": 0.0, "cpu_s": 0.0, "calls": calls})
