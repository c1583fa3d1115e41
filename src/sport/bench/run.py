"""Greedy evaluation of a list of tasks: no sampling, no critic; resumable, and scored once everything has ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from sport.agent.code import CodeAgent
from sport.agent.fleet import Trajectories, run_tasks, trajectory_id
from sport.events import Progress
from sport.llm.base import LLM
from sport.stats import mean, ratio, wilson
from sport.types import Key, Metric, Task, Trajectory

Scorer = Callable[[Trajectory, Key], dict[str, float]]
Keyed = tuple[Task, Key | None]
Further = Callable[[Sequence[tuple[Trajectory, Key]]], Awaitable[Sequence[Mapping[str, float]]]]
"""More scores of each trajectory, by somebody who has to be asked (a judge)."""
Figures = Callable[[Sequence[Mapping[str, float]]], dict[str, Metric]]


class EvalStore(Trajectories, Protocol):
    """What evaluation needs of the store."""

    def key(self, task_id: str) -> Key | None:
        """The key of a task."""
        ...

    def add_scores(self, trajectory_id: str, scores: Mapping[str, float | bool | None]) -> None:
        """Figures of one trajectory."""
        ...


async def evaluate(
    store: EvalStore,
    tasks: Sequence[Task],
    agent: CodeAgent,
    llm: LLM,
    scorer: Scorer,
    *,
    iteration: int,
    in_flight: int,
    progress: Progress,
    figures: Figures | None = None,
    further: Further | None = None,
) -> dict[str, Metric]:
    """Run every task that has not ended, score all of them, and return their ``figures`` (:func:`metrics`).

    ``further`` adds scores to the scorer's. A task without a key is run and not scored; without any key there are no
    figures. A trajectory that failed, or ended without an answer, is wrong and stays in the denominator.
    """
    await run_tasks(
        tasks,
        agent,
        store,
        llm,
        purpose="eval",
        iteration=iteration,
        in_flight=in_flight,
        progress=progress,
        stage="eval",
    )
    keyed: list[tuple[Trajectory, Key]] = []
    for task in tasks:
        key = store.key(task.id)
        if key is not None:
            keyed.append((store.trajectory(trajectory_id("eval", iteration, task)), key))
    scores = [scorer(trajectory, key) for trajectory, key in keyed]
    if further is not None:
        scores = [{**own, **more} for own, more in zip(scores, await further(keyed), strict=True)]
    for (trajectory, _), found in zip(keyed, scores, strict=True):
        store.add_scores(trajectory.id, found)
    return (figures or metrics)(scores) if scores else {}


def metrics(scores: Sequence[Mapping[str, float]]) -> dict[str, Metric]:
    """AnsAcc and ToolAcc over tasks, CodeExec over steps, Steps a task; each with its 95 % interval and denominator.

    Steps of one trajectory fail together, so CodeExec's interval is resampled over trajectories.
    """
    return {
        "AnsAcc": wilson(sum(s["right"] for s in scores), len(scores)),
        "ToolAcc": wilson(sum(s["tools"] for s in scores), len(scores)),
        "CodeExec": ratio([s["ran"] for s in scores], [s["steps"] for s in scores]),
        "Steps": mean([s["steps"] for s in scores]),
    }
