"""Exploration: step sampling and step verification over a list of tasks (SPORT, Algorithm 1, lines 4 to 9)."""

from __future__ import annotations

from collections.abc import Sequence

from sport.agent.code import CodeAgent
from sport.agent.fleet import Trajectories, run_tasks
from sport.config import Config, Explore
from sport.dialect import Dialect
from sport.events import Progress
from sport.llm.base import LLM
from sport.sandbox.base import Sandbox
from sport.types import Sampling, Task
from sport.verify.base import Critic


async def explore(
    tasks: Sequence[Task],
    llm: LLM,
    dialect: Dialect,
    sandbox: Sandbox,
    store: Trajectories,
    critic: Critic,
    config: Config,
    *,
    iteration: int,
    progress: Progress,
) -> None:
    """Grow one tree per task: at every step n candidates, each in its own fork; the critic's best lives on.

    Everything lands in ``store``; what is there already is neither sampled nor run again, so a killed exploration is
    resumed by calling this once more. Trajectories that fail are recorded as such and the others go on.

    Raises:
        FatalModelError: the controller or the critic cannot be used; what is done stays.
        RunError: the store cannot be written.
    """
    settings = config.explore
    agent = CodeAgent(
        llm,
        dialect,
        sandbox,
        store,
        config.agent,
        seed=config.seed,
        iteration=iteration,
        n=settings.n,
        sampling=template(settings),
        judge=critic.judge,
    )
    await run_tasks(
        tasks,
        agent,
        store,
        llm,
        purpose="explore",
        iteration=iteration,
        in_flight=settings.in_flight,
        progress=progress,
        stage="explore",
    )


def template(settings: Explore) -> Sampling:
    """How candidates are drawn; seed, order and token limit are the agent's to set."""
    return Sampling(
        temperature=settings.temperature,
        temperatures=settings.temperatures,
        top_p=settings.top_p,
        top_k=settings.top_k,
    )
