"""The trajectory critic by rule: T3's criteria as far as they can be seen without a model and without the answer.

It sees what a language model in its place would see. It cannot tell a wrong answer that follows from honest steps.
"""

from __future__ import annotations

from sport.types import Review, Trajectory
from sport.verify import criteria
from sport.verify.base import TrajectoryCritic


class RuleReviewer(TrajectoryCritic):
    """Keeps a trajectory whose every step ran, that looked, invented nothing, and answers what was asked."""

    name = "rules"

    async def review(self, trajectory: Trajectory, seed: int) -> Review:
        """See :class:`~sport.verify.base.TrajectoryCritic`; deterministic, without its seed."""
        faults = dict(_faults(trajectory))
        reason = "; ".join(f"{name}: {words}" for name, words in faults.items()) or "every rule is met"
        return Review(kept=not faults, reason=f"{reason}.", notes={"faults": sorted(faults)}, critic=self.name)


def _faults(trajectory: Trajectory) -> list[tuple[str, str]]:
    """What speaks against it, by T3's criteria."""
    if trajectory.end is None or trajectory.end.state != "answered" or not trajectory.steps:
        return [("answer", "there is none")]
    task = trajectory.task
    *before, last = trajectory.steps
    found: list[tuple[str, str]] = []
    if any(not criteria.ran(step.trunk) for step in trajectory.steps):
        found.append(("arguments", "code failed"))
    if not criteria.looked(task, before, last.trunk):
        found.append(("tools", "no file was looked at"))
    idle = [s for i, s in enumerate(before) if criteria.useful(task, trajectory.steps[:i], s.trunk) == 0]
    if idle:
        found.append(("tools", f"step {idle[0].index + 1} brought nothing new"))
    for place, step in enumerate(trajectory.steps):
        made_up = criteria.invented(task, trajectory.steps[:place], step.trunk)
        if made_up:
            found.append(("files", f"nothing shows {', '.join(made_up[:3])}"))
            break
    if not criteria.well_formed(task, last.trunk):
        found.append(("answer", "not of the kind that is asked for"))
    elif criteria.right_operation(task, before, last.trunk) == 0 or criteria.uses_numbers(task, before, last.trunk) < 1:
        found.append(("summary", "what the query asks for was not worked out"))
    return found
