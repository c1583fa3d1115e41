"""Critics: which of a step's candidates is best, and which trajectories are fit to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sport.types import Candidate, Review, Step, Task, Trajectory, Verdict


class Critic(Protocol):
    """Judges one step. An LLM and a set of rules are both critics."""

    name: str

    async def judge(self, task: Task, history: Sequence[Step], candidates: Sequence[Candidate], seed: int) -> Verdict:
        """A verdict on candidates that have all run (equal ones appear once, by their lowest number).

        ``best`` is None when the critic abstains or contradicts itself; a critic that breaks raises, and the caller
        asks once more. The order of ``candidates`` must not matter.

        Raises:
            ModelError: the model behind the critic failed.
        """
        ...


class TrajectoryCritic(Protocol):
    """Reviews whole trajectories (T3, arXiv 2412.15606, section 3.4)."""

    name: str

    async def review(self, trajectory: Trajectory, seed: int) -> Review:
        """Whether a trajectory that has ended is fit to learn from, by its trunk alone.

        ``kept`` is None when the critic cannot tell; one that breaks raises, and the caller asks once more.

        Raises:
            ModelError: the model behind the critic failed.
        """
        ...
