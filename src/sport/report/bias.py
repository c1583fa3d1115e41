"""What a critic's verdicts lean on besides merit: the place where a candidate is shown, and its length.

Places are those of single calls, as the critic noted them; a critic that is shown no order (rules, chance) has none.
Neither figure proves a fault alone: a better candidate may have reason to be longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sport.stats import mean, wilson
from sport.store import Store
from sport.types import Json, Metric, Step

_MOST_REASONS = 8


@dataclass(frozen=True)
class Place:
    """How often the candidate at a place was called the best: over single calls that named one and showed so many.

    ``lot`` is what choosing by lot would have come to: the mean of 1/n.
    """

    number: int
    chosen: Metric
    lot: float


@dataclass(frozen=True)
class Bias:
    """A critic's leanings. None where there is nothing to count.

    ``flips`` are over votes of two calls with opposite orders, of which each named a best one: the share without a
    common one. ``longer`` is over pairs of the best with a worse candidate of another length, in words of the raw
    text: the share in which the best is the longer. Comparisons of one step are not independent of each other.
    """

    critics: tuple[str, ...]
    verdicts: int
    calls: int
    repaired: int
    unread: int
    abstained: int
    places: tuple[Place, ...]
    flips: Metric | None
    longer: Metric | None
    words_best: Metric | None
    words_worse: Metric | None


@dataclass(frozen=True)
class Reviews:
    """What a trajectory check came to, and why it rejected."""

    kept: int
    rejected: int
    unknown: int
    reasons: tuple[tuple[str, int], ...]


def bias(store: Store) -> Bias | None:
    """The leanings of whoever judged the explored steps; None where nobody did."""
    steps = [step for t in store.trajectories("explore") for step in t.steps if step.verdict is not None]
    if not steps:
        return None
    calls = [call for step in steps for call in _calls(step)]
    lengths = [pair for step in steps for pair in _lengths(step)]
    unequal = [best > worse for best, worse in lengths if best != worse]
    flips = [flip for step in steps for flip in _flips(step)]
    return Bias(
        critics=tuple(sorted({step.verdict.critic for step in steps if step.verdict and step.verdict.critic})),
        verdicts=len(steps),
        calls=len(calls),
        repaired=sum(bool(call.get("repaired")) for call in calls),
        unread=sum("problem" in call for call in calls),
        abstained=sum("problem" not in call and not call.get("best") for call in calls),
        places=tuple(_places(calls)),
        flips=wilson(sum(flips), len(flips)) if flips else None,
        longer=wilson(sum(unequal), len(unequal)) if unequal else None,
        words_best=mean([best for best, _ in lengths]) if lengths else None,
        words_worse=mean([worse for _, worse in lengths]) if lengths else None,
    )


def reviews(store: Store) -> Reviews | None:
    """The trajectory check of a run that follows T3; None where there was none."""
    found = [review for o in store.outlines("explore") if (review := store.review(o.id)) is not None]
    if not found:
        return None
    counts = Counter(review.kept for review in found)
    rejected = [review for review in found if review.kept is False]
    reasons = Counter(reason for review in rejected for reason in review.notes.get("faults") or [review.reason])
    return Reviews(counts[True], counts[False], counts[None], tuple(reasons.most_common(_MOST_REASONS)))


def _calls(step: Step) -> list[Mapping[str, Json]]:
    found = step.verdict.notes.get("calls") if step.verdict else None
    return list(found) if isinstance(found, list) else []


def _places(calls: Sequence[Mapping[str, Json]]) -> Iterator[Place]:
    named = [(list(call["order"]), call["best"][0]) for call in calls if len(call.get("best") or ()) == 1]
    for place in range(max((len(order) for order, _ in named), default=0)):
        here = [(order, best) for order, best in named if len(order) > place]
        hits = sum(order[place] == best for order, best in here)
        yield Place(place + 1, wilson(hits, len(here)), sum(1 / len(order) for order, _ in here) / len(here))


def _flips(step: Step) -> Iterator[bool]:
    calls, notes = _calls(step), step.verdict.notes if step.verdict else {}
    width = len(calls) // max(1, int(notes.get("votes") or 1))
    if width != 2:
        return
    for one, other in zip(calls[::2], calls[1::2], strict=True):
        if one.get("best") and other.get("best"):
            yield not set(one["best"]) & set(other["best"])


def _lengths(step: Step) -> Iterator[tuple[int, int]]:
    """Words of the best candidate, beside those of each worse one."""
    verdict = step.verdict
    if verdict is None or verdict.best is None:
        return
    words = {c.index: len(c.action.raw.split()) for c in step.candidates if c.same_as is None}
    for index, count in words.items():
        if index not in (verdict.best, *verdict.tied) and verdict.best in words:
            yield words[verdict.best], count
