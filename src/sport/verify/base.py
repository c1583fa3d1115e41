"""Critics: which of a step's candidates is best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sport.types import Candidate, Step, Task, Verdict


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
