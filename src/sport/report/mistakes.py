"""What was right, and why the rest was wrong: every evaluated trajectory in one line, and tables over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sport.causes import CAUSES, cause
from sport.report.choose import is_right
from sport.stats import Difference, paired_bootstrap, wilson
from sport.store import BENCHMARKS, Score, Store
from sport.types import Json, Key, Metric, Trajectory

OTHER = "scored as wrong"  # by a scorer that knows more than the rules, or without a key to ask
_UNSEEN_FACT = "not told"


@dataclass(frozen=True)
class Graded:
    """An evaluated trajectory that has ended. ``cause`` is None for a right answer; so are facts the key lacks."""

    trajectory: str
    task: str
    split: str
    iteration: int
    cause: str | None
    family: str
    kind: str | None
    depth: int | None

    @property
    def right(self) -> bool:
        """Whether its answer was right."""
        return self.cause is None


@dataclass(frozen=True)
class Cell:
    """A count of ``n``."""

    count: int
    n: int

    @property
    def share(self) -> float:
        """The count as a share."""
        return self.count / self.n


@dataclass(frozen=True)
class Mistakes:
    """Wrong answers of a split: a row (cause, its definition, one cell an iteration), and all of them together."""

    iterations: tuple[int, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]
    all: tuple[Cell, ...]


@dataclass(frozen=True)
class Groups:
    """The share of right answers by ``name`` (family, depth, kind): a row (group, one share an iteration or None)."""

    name: str
    iterations: tuple[int, ...]
    rows: tuple[tuple[str, tuple[Metric | None, ...]], ...]


def graded(store: Store) -> list[Graded]:
    """All evaluated trajectories that ended and whose answer can be called right or wrong; reads each of them once."""
    scores = store.scores("eval")
    made = []
    for trajectory in store.trajectories("eval"):
        key = store.key(trajectory.task.id)
        told = scores.get(trajectory.id, {})
        if trajectory.end is not None and (is_right(told) is not None or (key is not None and _by_key(trajectory))):
            made.append(_grade(store, trajectory, key, told))
    return made


def why_wrong(trajectory: Trajectory, key: Key | None, right: bool | None) -> str | None:
    """The cause of a wrong answer. None for a right one, and where there is no sound key to say so."""
    if right or (right is None and (key is None or key.defect is not None or not _by_key(trajectory))):
        return None
    found = cause(trajectory, key) if key is not None and key.defect is None else None
    return found or (OTHER if right is False else None)


def _by_key(trajectory: Trajectory) -> bool:
    """Whether equality with the key is the rule: benchmarks have rules of their own, and answers nobody scores."""
    return trajectory.task.origin not in BENCHMARKS


def mistakes(told: Sequence[Graded]) -> Mistakes | None:
    """Errors of one split by cause, in the order of their definitions; None when nothing was wrong."""
    by_iteration = _by_iteration(told)
    counts = {i: Counter(one.cause for one in some if one.cause) for i, some in by_iteration.items()}
    seen = {name for some in counts.values() for name in some}
    rows = tuple(
        (name, meaning, tuple(Cell(counts[i][name], len(by_iteration[i])) for i in by_iteration))
        for name, meaning in {**CAUSES, OTHER: "the score says so, and no rule names a cause"}.items()
        if name in seen
    )
    whole = tuple(Cell(counts[i].total(), len(some)) for i, some in by_iteration.items())
    return Mistakes(tuple(by_iteration), rows, whole) if rows else None


def groups(told: Sequence[Graded]) -> list[Groups]:
    """Right answers of one split by family, depth and kind; without those that its keys do not tell apart."""
    made = [
        _group("family", told, [one.family or _UNSEEN_FACT for one in told]),
        _group("depth", told, [_UNSEEN_FACT if one.depth is None else str(one.depth) for one in told]),
        _group("kind", told, [one.kind or _UNSEEN_FACT for one in told]),
    ]
    return [table for table in made if any(group != _UNSEEN_FACT for group, _ in table.rows)]


def gain(told: Sequence[Graded], seed: int) -> tuple[Difference, int] | None:
    """The paired change of a split's share of right answers, first to last iteration, and over how many tasks.

    None before there are two iterations with tasks in common.
    """
    by_iteration = _by_iteration(told)
    if len(by_iteration) < 2:
        return None
    old, new = ({one.task: float(one.right) for one in by_iteration[i]} for i in (min(by_iteration), max(by_iteration)))
    both = [task for task in old if task in new]
    if not both:
        return None
    return paired_bootstrap([old[task] for task in both], [new[task] for task in both], seed), len(both)


def _grade(store: Store, trajectory: Trajectory, key: Key | None, scores: dict[str, Score]) -> Graded:
    facts = key.facts if key is not None else {}
    return Graded(
        trajectory.id,
        trajectory.task.id,
        store.split_of(trajectory.task.id) or "",
        trajectory.iteration,
        why_wrong(trajectory, key, is_right(scores)),
        key.family if key is not None else "",
        _text(facts.get("kind")),
        _whole(facts.get("depth")),
    )


def _group(name: str, told: Sequence[Graded], labels: Sequence[str]) -> Groups:
    iterations = tuple(_by_iteration(told))
    found: dict[str, dict[int, list[bool]]] = {}
    for one, label in zip(told, labels, strict=True):
        found.setdefault(label, {}).setdefault(one.iteration, []).append(one.right)
    rows = tuple((label, tuple(_share(found[label].get(i, ())) for i in iterations)) for label in sorted(found))
    return Groups(name, iterations, rows)


def _by_iteration(told: Iterable[Graded]) -> dict[int, list[Graded]]:
    found: dict[int, list[Graded]] = {}
    for one in told:
        found.setdefault(one.iteration, []).append(one)
    return dict(sorted(found.items()))


def _share(rights: Sequence[bool]) -> Metric | None:
    return wilson(sum(rights), len(rights)) if rights else None


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
