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


def every(store: Store) -> list[Pick]:
    """All trajectories: the evaluated ones, then the explored ones, in the order of their iterations and tasks."""
    outlines, scores = store.outlines("eval"), store.scores("eval")
    changes = {task: picks[0].change for task, picks in _before_and_after(outlines, scores).items()}
    evaluated = [Pick(o, scores.get(o.id, {}), changes[o.task_id]) for o in outlines]
    return [*evaluated, *_explored(store)]


def choose(store: Store, causes: Mapping[str, str | None] | None = None, limit: int = 60) -> Choice:
    """At most ``limit`` trajectories: evaluated tasks whose answer changed first, then failures of every cause.

    A task evaluated before and after the tuning comes as two neighbours, so that they can be compared. A third of the
    places is for explored ones: those with most pairs, those that went wrong, in turns. ``causes`` names why an
    evaluated trajectory was wrong, so that no frequent cause crowds out the others.
    """
    evaluated, explored = store.outlines("eval"), _explored(store)
    shown = _evaluated(store, evaluated, causes or {}, limit - min(len(explored), limit // 3))
    return Choice(shown, _instructive(store, explored, limit - len(shown)), len(evaluated) + len(explored))


def _evaluated(
    store: Store, outlines: Sequence[Outline], causes: Mapping[str, str | None], limit: int
) -> tuple[Pick, ...]:
    if not outlines:
        return ()
    groups: dict[tuple[bool | None, bool | None, str | None], list[tuple[Pick, ...]]] = {}
    changed: dict[str, list[tuple[Pick, ...]]] = {"gained": [], "lost": []}
    for picks in _before_and_after(outlines, store.scores("eval")).values():
        first, last = picks[0], picks[-1]
        if first.change:
            changed[first.change].append(picks)
        else:
            groups.setdefault((first.right, last.right, causes.get(last.outline.id)), []).append(picks)
    both = _interleave(changed["gained"], changed["lost"])
    order = [*both[: 2 * _EVAL_TASKS // 3], *_interleave(*groups.values()), *both[2 * _EVAL_TASKS // 3 :]]
    each = 2 if outlines[0].iteration != outlines[-1].iteration else 1
    return tuple(pick for picks in order[: min(_EVAL_TASKS * 2 // each, limit // each)] for pick in picks)


def _before_and_after(
    outlines: Sequence[Outline], scores: Mapping[str, Mapping[str, Score]]
) -> dict[str, tuple[Pick, ...]]:
    """Each task's first and last evaluation (one pick where there is but one), with what changed between them."""
    found: dict[str, list[Outline]] = {}
    for outline in outlines:
        found.setdefault(outline.task_id, []).append(outline)
    made = {}
    for task, mine in found.items():
        ends = (mine[0],) if len(mine) == 1 else (mine[0], mine[-1])
        was, now = is_right(scores.get(ends[0].id, {})), is_right(scores.get(ends[-1].id, {}))
        change = "gained" if (was, now) == (False, True) else "lost" if (was, now) == (True, False) else ""
        made[task] = tuple(Pick(o, scores.get(o.id, {}), change) for o in ends)
    return made


def _explored(store: Store) -> list[Pick]:
    scores = store.scores("explore")
    return [Pick(o, scores.get(o.id) or _against_key(store, o)) for o in store.outlines("explore")]


def _instructive(store: Store, picks: Sequence[Pick], limit: int) -> tuple[Pick, ...]:
    """Of every iteration as many: by turns the one with most pairs and one that went wrong, shown in their order."""
    columns = []
    for iteration in sorted({pick.outline.iteration for pick in picks}):
        pairs = Counter(pair.trajectory for pair in store.pairs(iteration))
        mine = sorted(
            (pick for pick in picks if pick.outline.iteration == iteration), key=lambda pick: -pairs[pick.outline.id]
        )
        columns.append(_interleave([p for p in mine if p.right is not False], [p for p in mine if p.right is False]))
    chosen = _interleave(*columns)[: max(0, limit)]
    return tuple(sorted(chosen, key=lambda pick: (pick.outline.iteration, pick.outline.ordinal)))


def _against_key(store: Store, outline: Outline) -> Mapping[str, Score]:
    """An explored answer is scored here: no stage does, since nothing that learns may read the key.

    Queries that were spoilt have no right answer and get no score; neither has a trajectory that goes on.
    """
    key = store.key(outline.task_id)
    if key is None or key.defect is not None or outline.end is None:
        return {}
    answer = outline.end.answer
    return {RIGHT: answer is not None and answers_match(answer, key.answer)}


def is_right(scores: Mapping[str, Score]) -> bool | None:
    """Whether its score says that an answer was right; None when it was not scored."""
    value = scores.get(RIGHT)
    return None if value is None else value >= 0.5


def _interleave(*columns: Sequence[T]) -> list[T]:
    return [item for row in zip_longest(*columns) for item in row if item is not None]
