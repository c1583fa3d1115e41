"""Which trajectories a reader should see, when there are more than a page can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from sport.answers import answers_match
from sport.store import Score, Store
from sport.trees import Outline

T = TypeVar("T")

RIGHT = "right"  # the score that says whether an answer was right
_EVAL_TASKS = 18


@dataclass(frozen=True)
class Pick:
    """A trajectory to show, with its scores; ``change`` is "gained", "lost" or ""."""

    outline: Outline
    scores: Mapping[str, Score]
    change: str = ""

    @property
    def right(self) -> bool | None:
        """Whether its answer was right; None where nobody scored it."""
        return is_right(self.scores)

    @property
    def outcome(self) -> str:
        """One word for its badge."""
        if self.right is not None:
            return "right" if self.right else "wrong"
        return self.outline.end.state.replace("_", " ") if self.outline.end else "unfinished"


@dataclass(frozen=True)
class Choice:
    """What is shown, in order, and of how many it was chosen."""

    evaluated: tuple[Pick, ...]
    explored: tuple[Pick, ...]
    total: int


def choose(store: Store, limit: int = 60) -> Choice:
    """At most ``limit`` trajectories: evaluated tasks whose answer changed first, then explored ones with most pairs.

    A task evaluated before and after the tuning comes as two neighbours, so that they can be compared.
    """
    evaluated, explored = store.outlines("eval"), store.outlines("explore")
    shown = _evaluated(store, evaluated, limit - min(len(explored), limit // 3))
    return Choice(shown, _explored(store, explored, limit - len(shown)), len(evaluated) + len(explored))


def _evaluated(store: Store, outlines: Sequence[Outline], limit: int) -> tuple[Pick, ...]:
    if not outlines:
        return ()
    scores = store.scores("eval")
    first, last = outlines[0].iteration, outlines[-1].iteration
    before = {o.task_id: o for o in outlines if o.iteration == first}
    after = {o.task_id: o for o in outlines if o.iteration == last}
    groups: dict[tuple[bool | None, bool | None], list[list[Pick]]] = {}
    for task, old in before.items():
        new = after.get(task, old)
        told = {o.id: scores.get(o.id, {}) for o in (old, new)}
        was, now = is_right(told[old.id]), is_right(told[new.id])
        change = "gained" if (was, now) == (False, True) else "lost" if (was, now) == (True, False) else ""
        picks = [Pick(o, told[o.id], change) for o in ((old, new) if new is not old else (old,))]
        groups.setdefault((was, now), []).append(picks)
    changed = _interleave(groups.pop((False, True), []), groups.pop((True, False), []))
    order = [*changed[: 2 * _EVAL_TASKS // 3], *_interleave(*groups.values()), *changed[2 * _EVAL_TASKS // 3 :]]
    each = 2 if last != first else 1
    return tuple(pick for picks in order[: min(_EVAL_TASKS * 2 // each, limit // each)] for pick in picks)


def _explored(store: Store, outlines: Sequence[Outline], limit: int) -> tuple[Pick, ...]:
    scores = store.scores("explore")
    iterations = sorted({o.iteration for o in outlines})
    columns = []
    for iteration in iterations:
        pairs = Counter(pair.trajectory for pair in store.pairs(iteration))
        mine = [o for o in outlines if o.iteration == iteration]
        columns.append(sorted(mine, key=lambda o: -pairs[o.id]))
    chosen = sorted(_interleave(*columns)[: max(0, limit)], key=lambda o: (o.iteration, o.ordinal))
    return tuple(Pick(o, scores.get(o.id) or _against_key(store, o)) for o in chosen)


def _against_key(store: Store, outline: Outline) -> Mapping[str, Score]:
    """An explored answer is scored here: no stage does, since nothing that learns may read the key."""
    key = store.key(outline.task_id)
    answer = outline.end.answer if outline.end else None
    return {} if key is None or answer is None else {RIGHT: answers_match(answer, key.answer)}


def is_right(scores: Mapping[str, Score]) -> bool | None:
    """Whether its score says that an answer was right; None when it was not scored."""
    value = scores.get(RIGHT)
    return None if value is None else value >= 0.5


def _interleave(*columns: Sequence[T]) -> list[T]:
    return [item for row in zip_longest(*columns) for item in row if item is not None]
