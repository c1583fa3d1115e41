"""Two evaluations of the same tasks, task by task: what changed, by how much, and whether chance alone does that.

Every figure is the share ``sum(part) / sum(whole)`` over the tasks that both runs scored. Its change has a paired
bootstrap interval over tasks; where a task is right or wrong, McNemar's exact test stands beside it, and the tasks that
flipped are named. With repeats a task counts by its mean over them, and the test is the sign test on those means.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sport.errors import InputError
from sport.stats import Difference, paired_ratios, sign_test
from sport.store import Store

Scores = Mapping[str, float | bool | None]
Runs = Mapping[str, Sequence[Scores]]
"""By task: its scores in every repeat."""

_WHOLE = (
    ("AnsAcc", "right", None),
    ("AnsAcc normalised", "normalised", None),
    ("AnsAcc SPORT, objective", "SPORT", None),
    ("AnsAcc MAT, objective", "MAT", None),
    ("AnsAcc mended, objective", "mended", None),
    ("AnsAcc official, objective", "official", None),
    ("AnsAcc official, subjective", "subjective", None),
    ("ToolAcc", "tools", None),
    ("CodeExec", "ran", "steps"),
)
_STEPS = (
    ("InstAcc", "inst", "inst_of"),
    ("ToolAcc", "tool", "tools"),
    ("ArgAcc", "arg", "tools"),
    ("SummAcc official, objective", "summ official", None),
)


@dataclass(frozen=True)
class Compared:
    """One figure of both runs over the same ``n`` tasks. ``p`` is None for figures that are no matter of yes or no.

    ``gained`` and ``lost`` are the tasks that the second run does better and worse; empty where ``p`` is None.
    """

    split: str
    figure: str
    n: int
    before: float
    after: float
    change: Difference
    p: float | None
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def compare(before: Store, after: Store) -> list[Compared]:
    """Every figure that both runs have, over the tasks that both scored.

    Raises:
        InputError: the runs share no scored task, or a task of one name has other words in the other run.
    """
    old, new = scores(before), scores(after)
    found = []
    for split in (split for split in old if split in new):
        both = [task for task in old[split] if task in new[split]]
        _same_words(before, after, split, both)
        found += list(_figures(split, {t: old[split][t] for t in both}, {t: new[split][t] for t in both}))
    if not found:
        raise InputError(
            f"{before.folder} and {after.folder}: no task was scored in both ({_held(old)}; {_held(new)}); compare two "
            "evaluations of one data set"
        )
    return found


def scores(store: Store) -> dict[str, dict[str, list[Scores]]]:
    """By split and task the scores of every repeat; of a run that teaches, those of its last evaluation."""
    outlines = [outline for outline in store.outlines("eval") if outline.end is not None]
    if store.config.bench.kind == "none":
        last = max((outline.iteration for outline in outlines), default=0)
        outlines = [outline for outline in outlines if outline.iteration == last]
    known = store.scores("eval")
    found: dict[str, dict[str, list[Scores]]] = {}
    for outline in outlines:
        if outline.id in known:
            split = store.split_of(outline.task_id) or ""
            found.setdefault(split, {}).setdefault(outline.task_id, []).append(known[outline.id])
    return found


def _figures(split: str, old: Runs, new: Runs) -> Iterator[Compared]:
    kinds = _STEPS if any("inst_of" in one for some in old.values() for one in some) else _WHOLE
    named = {name for some in old.values() for one in some for name in one}
    for figure, part, whole in kinds:
        if figure == "AnsAcc" and "official" in named:  # GTA's own rule stands under its own name
            continue
        was, now = _shares(old, part, whole), _shares(new, part, whole)
        tasks = [task for task in was if task in now]
        if tasks and sum(was[t][1] for t in tasks) and sum(now[t][1] for t in tasks):
            yield _compared(split, figure, [(task, was[task], now[task]) for task in tasks], whole is None)
    levels = sorted({float(one["level"] or 0) for some in old.values() for one in some if "level" in one})
    for level in levels if len(levels) > 1 else ():
        mine = [task for task, some in old.items() if some[0]["level"] == level]
        was, now = _shares(old, "right", None), _shares(new, "right", None)
        rows = [(task, was[task], now[task]) for task in mine if task in was and task in now]
        if rows:
            yield _compared(split, f"AnsAcc level {level:.0f}", rows, True)


def _compared(
    split: str, figure: str, rows: Sequence[tuple[str, tuple[float, float], tuple[float, float]]], simple: bool
) -> Compared:
    was, now = [row[1] for row in rows], [row[2] for row in rows]
    before, after = (sum(p for p, _ in some) / sum(w for _, w in some) for some in (was, now))
    change = paired_ratios(was, now)
    if not simple:
        return Compared(split, figure, len(rows), before, after, change, None)
    gained = tuple(task for task, old, new in rows if new[0] > old[0])
    lost = tuple(task for task, old, new in rows if new[0] < old[0])
    return Compared(
        split, figure, len(rows), before, after, change, sign_test(len(gained), len(lost)), gained, lost
    )  # fmt: skip


def _shares(runs: Runs, part: str, whole: str | None) -> dict[str, tuple[float, float]]:
    """(part, whole) of every task that was scored, as means over its repeats."""
    found = {}
    for task, repeats in runs.items():
        pairs = [
            (float(one[part] or 0), 1.0 if whole is None else float(one.get(whole) or 0))
            for one in repeats
            if one.get(part) is not None
        ]
        if pairs:
            found[task] = (statistics.fmean(p for p, _ in pairs), statistics.fmean(w for _, w in pairs))
    return found


def _same_words(before: Store, after: Store, split: str, both: Sequence[str]) -> None:
    queries = [{task.id: task.query for task in store.tasks(split)} for store in (before, after)]
    other = [task for task in both if queries[0].get(task) != queries[1].get(task)]
    if other:
        raise InputError(
            f"{before.folder} and {after.folder}: {len(other)} tasks of one name have other words, {other[0]} among "
            "them; compare two evaluations of one data set"
        )


def _held(found: Mapping[str, Runs]) -> str:
    return ", ".join(f"{len(tasks)} of {split}" for split, tasks in found.items()) or "none scored"
