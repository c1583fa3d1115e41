"""From trees to preferences: at every decided step, the best against each worse candidate (SPORT, equation 3).

Nothing is dropped silently: every filter has a name, and what it dropped is counted under it.

* ``no_verdict``: steps (not pairs) on which the critic said nothing;
* ``identical``: a candidate that says what a lower-numbered one or the best already says;
* ``tied``: a candidate as good as the best;
* ``failed``: the best of the step failed itself (its code raised, or did not parse): the least bad of five failures is
  nothing to learn from, and such steps come in rows;
* ``broken``: off by default; a rejected candidate that failed. A small model's failures are mostly garbled texts from
  the tail of its own distribution: it knows already that they are worse, and pushing them down further costs ability;
* ``too_similar``: off by default; a candidate that shares too many of the best one's words.

Unless one of these says otherwise, a candidate that could not be parsed, or whose code failed, is a rejected one like
any other; so is one of a trajectory that never answers.
"""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher

from sport.config import Pairs
from sport.types import Candidate, Pair, Step, Trajectory


def read(trajectory: Trajectory, filters: Pairs | None = None) -> tuple[list[Pair], Counter[str]]:
    """All pairs of one trajectory, by step and candidate, and how many things each filter dropped.

    Raises:
        ValueError: a verdict names a candidate that its step does not have.
    """
    filters = filters or Pairs()
    found: list[Pair] = []
    dropped: Counter[str] = Counter()
    for step in trajectory.steps:
        if step.verdict is None or step.verdict.best is None:
            dropped["no_verdict"] += 1
            continue
        best, seen = step.trunk, {normal(step.trunk.action.raw)}
        for candidate in step.candidates:
            if candidate.index == best.index:
                continue
            reason = _reason(step, best, candidate, seen, filters)
            seen.add(normal(candidate.action.raw))
            if reason:
                dropped[reason] += 1
            else:
                found.append(
                    Pair(trajectory=trajectory.id, step=step.index, chosen=best.index, rejected=candidate.index)
                )
    return found, dropped


def normal(raw: str) -> str:
    r"""Text in which white space that means nothing is gone; what stands before a line is Python's, and stays.

    >>> normal("a =  1  \n\n  b") == normal("a = 1\n  b") != normal("a = 1\nb")
    True
    """
    lines = (line.rstrip() for line in raw.expandtabs().splitlines())
    return "\n".join(" " * (len(line) - len(line.lstrip())) + " ".join(line.split()) for line in lines if line)


def similarity(one: str, other: str) -> float:
    """How much of two texts' words is common, in order: 2 x matches / words in both, in [0, 1].

    >>> similarity("a b c", "a b d")
    0.6666666666666666
    """
    return SequenceMatcher(None, one.split(), other.split(), autojunk=False).ratio()


def _reason(step: Step, best: Candidate, candidate: Candidate, seen: set[str], filters: Pairs) -> str | None:
    assert step.verdict is not None
    if candidate.same_as is not None or normal(candidate.action.raw) in seen:
        return "identical"
    if candidate.index in step.verdict.tied:
        return "tied"
    if not filters.failed and not _ran(best):
        return "failed"
    if not filters.broken and not _ran(candidate):
        return "broken"
    threshold = filters.too_similar
    if threshold is not None and similarity(best.action.raw, candidate.action.raw) >= threshold:
        return "too_similar"
    return None


def _ran(candidate: Candidate) -> bool:
    return candidate.observation is not None and candidate.observation.outcome == "ok"
