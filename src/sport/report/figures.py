"""The figures of a run, read from the store: no arithmetic in the template."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sport.answers import answers_match
from sport.report.chart import Chart, chart
from sport.report.choose import is_right
from sport.stats import Difference, paired_bootstrap, wilson
from sport.store import Checked, Store
from sport.types import Metric, Trajectory

MAIN = "AnsAcc"  # the metric of the headline


@dataclass(frozen=True)
class Headline:
    """The main metric before and after; ``gain`` is paired over tasks and None when no task has both."""

    split: str
    name: str
    before: Metric
    after: Metric
    iterations: int
    gain: Difference | None
    tasks: int


@dataclass(frozen=True)
class Split:
    """A split's metrics by iteration, for the table and for the curve."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, Metric]], ...]
    curve: Chart


@dataclass
class Exploration:
    """What an iteration's exploration came to; counts, and the share of its answers that are the key's."""

    iteration: int
    trajectories: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    candidates: int = 0
    failed: int = 0
    no_verdict: int = 0
    ties: int = 0
    right: Metric | None = None
    pairs: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckFigures:
    """The query-file check of an iteration.

    Precision: share of dropped queries that were spoilt on purpose. Recall: share of spoilt queries that were dropped.
    None where there is no such query.
    """

    iteration: int
    written: int
    kept: int
    precision: Metric | None
    recall: Metric | None


def splits(store: Store) -> list[Split]:
    """Every measured split."""
    grouped: dict[str, list[tuple[int, Mapping[str, Metric]]]] = {}
    for iteration, split, metrics in store.metrics():
        grouped.setdefault(split, []).append((iteration, metrics))
    made = []
    for name, rows in grouped.items():
        columns = tuple(dict.fromkeys(column for _, metrics in rows for column in metrics))
        made.append(Split(name, columns, tuple(rows), chart(name, rows)))
    return made


def headline(store: Store, measured: Sequence[Split]) -> Headline | None:
    """The main metric of the split that the run evaluates; None while it is not measured."""
    wanted = store.config.eval.split
    split = next((s for s in measured if s.name == wanted and MAIN in s.columns), None)
    if split is None:
        return None
    rows = [(iteration, metrics[MAIN]) for iteration, metrics in split.rows if MAIN in metrics]
    (first, before), (last, after) = rows[0], rows[-1]
    old, new = _right_by_task(store, first), _right_by_task(store, last)
    both = [task for task in old if task in new] if first != last else []
    gain = paired_bootstrap([old[t] for t in both], [new[t] for t in both], store.config.seed) if both else None
    return Headline(split.name, MAIN, before, after, last - first, gain, len(both))


def explorations(store: Store) -> list[Exploration]:
    """One record per iteration that explored; reads every explored trajectory once, one at a time."""
    found: dict[int, Exploration] = {}
    rights: dict[int, list[bool]] = {}
    for trajectory in store.trajectories("explore"):
        one = found.setdefault(trajectory.iteration, Exploration(trajectory.iteration))
        _count(one, trajectory)
        key = store.key(trajectory.task.id)
        if key is not None and trajectory.end is not None:
            answer = trajectory.end.answer
            rights.setdefault(one.iteration, []).append(answer is not None and answers_match(answer, key.answer))
    for iteration, one in found.items():
        told = rights.get(iteration)
        one.right = wilson(sum(told), len(told)) if told else None
        one.pairs, one.dropped = len(store.pairs(iteration)), store.dropped(iteration)
    return list(found.values())


def checks(store: Store) -> list[CheckFigures]:
    """One record per iteration whose queries were checked."""
    made = []
    for iteration in sorted({o.iteration for o in store.outlines("explore")}):
        checked = store.checks("explore", iteration)
        if checked:
            made.append(_check(iteration, checked))
    return made


def timing(store: Store) -> tuple[list[dict[str, Any]], float]:
    """Stages with their seconds, share of the longest and note; and all seconds together."""
    stages = store.stages()
    longest = max((wall_s for _, _, wall_s, _ in stages), default=0.0) or 1.0
    rows = [
        {
            "iteration": iteration,
            "name": name,
            "wall_s": wall_s,
            "share": 100 * wall_s / longest,
            "note": "stopped" if note is None else ", ".join(f"{k} {_short(v)}" for k, v in note.items()),
        }
        for iteration, name, wall_s, note in stages
    ]
    return rows, sum(wall_s for _, _, wall_s, _ in stages)


def settings(store: Store) -> list[tuple[str, str]]:
    """The resolved configuration as (dotted key, value)."""
    return _flat(store.config.model_dump(mode="json"))


def _count(one: Exploration, trajectory: Trajectory) -> None:
    one.trajectories += 1
    one.ends[trajectory.end.state if trajectory.end else "unfinished"] += 1
    for step in trajectory.steps:
        one.steps += 1
        one.candidates += len(step.candidates)
        one.failed += sum(c.observation is not None and c.observation.outcome != "ok" for c in step.candidates)
        one.no_verdict += step.verdict is None or step.verdict.best is None
        one.ties += bool(step.verdict and step.verdict.tied)


def _check(iteration: int, checked: Sequence[Checked]) -> CheckFigures:
    dropped = [c for c in checked if not c.kept]
    spoilt = [c for c in checked if c.key is not None and c.key.defect is not None]
    hits = sum(not c.kept for c in spoilt)
    return CheckFigures(
        iteration,
        len(checked),
        len(checked) - len(dropped),
        wilson(hits, len(dropped)) if dropped and spoilt else None,
        wilson(hits, len(spoilt)) if spoilt else None,
    )


def _right_by_task(store: Store, iteration: int) -> dict[str, float]:
    scores = store.scores("eval", iteration)
    rights = {o.task_id: is_right(scores.get(o.id, {})) for o in store.outlines("eval", iteration)}
    return {task: float(right) for task, right in rights.items() if right is not None}


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, Mapping):
            rows += _flat(item, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, json.dumps(item, ensure_ascii=False)))
    return rows


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
