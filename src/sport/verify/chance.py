"""Choice by chance: the control that shows what a critic is worth."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sport.types import Candidate, Step, Task, Verdict
from sport.verify.base import Critic


class ChanceCritic(Critic):
    """Picks one candidate by the seed, whatever it did; the others lose to it."""

    name = "chance"

    async def judge(self, task: Task, history: Sequence[Step], candidates: Sequence[Candidate], seed: int) -> Verdict:
        """See :class:`~sport.verify.base.Critic`. The pick depends on the seed and the set of candidates alone."""
        indices = sorted(candidate.index for candidate in candidates)
        best = random.Random(seed).choice(indices)
        return Verdict(best=best, reason=f"Candidate {best} was drawn by lot.", critic=self.name)
