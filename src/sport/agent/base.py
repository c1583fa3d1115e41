"""What the agent tells the one writer, at the three commits of a step (HOUSE: asked, sampled, decided)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from sport.types import Candidate, End, Observation, Step, Task, Verdict


class Recorder(Protocol):
    """Durable notes of one trajectory after another; every call returns only when its row is committed."""

    def asked(self, trajectory: str, step: int) -> None:
        """An intent, before the call that costs."""

    def sampled(self, trajectory: str, step: int, candidates: Sequence[Candidate]) -> None:
        """The n texts of a step, as they came."""

    def observed(self, trajectory: str, step: int, candidate: int, observation: Observation) -> None:
        """What one candidate's code led to."""

    def decided(self, trajectory: str, step: Step) -> None:
        """Verdict and choice together: from here on the step exists for pairs, report and the next step."""

    def ended(self, trajectory: str, end: End) -> None:
        """No further step will come."""


Judge = Callable[[Task, Sequence[Step], Sequence[Candidate], int], Awaitable[Verdict]]
"""``judge(task, history, candidates, seed)``: a critic's method, as the agent is handed it."""
