"""Where the trunk goes on: the critic's choice, and what happens without one (HOUSE, "No verdict")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sport.agent.base import Judge
from sport.errors import ContentError, TransientModelError, boundary
from sport.seeds import derive
from sport.types import Candidate, Step, Task, Verdict


class Choice(NamedTuple):
    """The last three fields of a :class:`~sport.types.Step`."""

    verdict: Verdict | None = None
    continued_with: int | None = None
    why: str = ""


async def choose(
    judge: Judge | None, task: Task, history: Sequence[Step], candidates: Sequence[Candidate], seed: int
) -> Choice:
    """Judge the candidates of a step where there is something to compare.

    Equal candidates are judged once, by their lowest number. Without a verdict nobody wins: the trunk goes on with
    the lowest-numbered candidate that ran without error, else with the lowest-numbered.

    Raises:
        FatalModelError: the critic's model cannot be used at all.
    """
    distinct = [candidate for candidate in candidates if candidate.same_as is None]
    if len(distinct) == 1:
        why = "only candidate" if len(candidates) == 1 else "all candidates are equal"
        return Choice(continued_with=distinct[0].index, why=why)
    if judge is None:
        return Choice(continued_with=fallback(distinct), why="no critic")
    verdict = await _ask(judge, task, history, distinct, seed)
    scores = verdict.scores + (None,) * (len(candidates) - len(verdict.scores)) if verdict.scores else ()
    verdict = verdict.model_copy(update={"scores": scores})
    if verdict.best is not None:
        return Choice(verdict=verdict)
    return Choice(verdict=verdict, continued_with=fallback(distinct), why=f"no verdict: {verdict.reason}")


def fallback(candidates: Sequence[Candidate]) -> int:
    """The lowest-numbered candidate that ran without error; if there is none, the lowest-numbered."""
    ran = [c.index for c in candidates if c.observation is not None and c.observation.outcome == "ok"]
    return min(ran or [c.index for c in candidates])


async def _ask(
    judge: Judge, task: Task, history: Sequence[Step], candidates: Sequence[Candidate], seed: int
) -> Verdict:
    """Ask, and once more if the critic breaks, abstains or contradicts itself. ``best`` is then None."""
    verdict = Verdict(best=None)
    for asked, draw in ((1, seed), (2, derive(seed, "again"))):
        with boundary("critic", TransientModelError, ContentError) as caught:
            verdict = _checked(await judge(task, history, candidates, draw), {c.index for c in candidates})
        if caught.failure is not None:
            verdict = Verdict(best=None, reason=f"{caught.failure.kind}: {caught.failure.message}")
        verdict = verdict.model_copy(update={"asked": asked})
        if verdict.best is not None:
            break
    return verdict


def _checked(verdict: Verdict, known: set[int]) -> Verdict:
    """A verdict that names a candidate nobody showed it, or sets the best beside itself, is none."""
    if verdict.best is None or ({verdict.best, *verdict.tied} <= known and verdict.best not in verdict.tied):
        return verdict
    reason = f"contradicts itself: best {verdict.best}, tied {list(verdict.tied)}, of candidates {sorted(known)}"
    return verdict.model_copy(update={"best": None, "tied": (), "reason": reason})
