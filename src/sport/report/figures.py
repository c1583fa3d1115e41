"""The figures of evaluation, time and settings, read from the store: no arithmetic in the template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sport.report import mistakes
from sport.report.chart import Chart, chart
from sport.report.mistakes import Graded, Groups, Mistakes
from sport.stats import Difference
from sport.store import Store
from sport.types import Metric

MAIN = "AnsAcc"  # the metric of the headline


@dataclass(frozen=True)
class Split:
    """A split's metrics by iteration, for the table and for the curve, and what stands behind them.

    ``gain`` is the change of right answers from the first to the last iteration, paired over ``tasks`` tasks; None
    when no task was answered at both times.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, Metric]], ...]
    curve: Chart
    gain: Difference | None
    tasks: int
    mistakes: Mistakes | None
    groups: tuple[Groups, ...]


@dataclass(frozen=True)
class Headline:
    """The main metric before and after, on the split that the run was made for."""

    split: Split
    name: str
    before: Metric
    after: Metric
    iterations: int


def splits(store: Store, graded: Sequence[Graded]) -> list[Split]:
    """Every measured split, the one of the headline first."""
    grouped: dict[str, list[tuple[int, Mapping[str, Metric]]]] = {}
    for iteration, split, metrics in store.metrics():
        grouped.setdefault(split, []).append((iteration, metrics))
    names = sorted(grouped, key=lambda name: (name != store.config.eval.split, name))
    return [_split(name, grouped[name], [g for g in graded if g.split == name], store.config.seed) for name in names]


def headline(store: Store, measured: Sequence[Split]) -> Headline | None:
    """The main metric of the split that the run evaluates; None while it is not measured."""
    wanted = store.config.eval.split
    split = next((s for s in measured if s.name == wanted and MAIN in s.columns), None)
    if split is None:
        return None
    rows = [(iteration, metrics[MAIN]) for iteration, metrics in split.rows if MAIN in metrics]
    (first, before), (last, after) = rows[0], rows[-1]
    return Headline(split, MAIN, before, after, last - first)


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


def habits(store: Store) -> dict[str, str]:
    """Bad habits that were planted in the controller on purpose, with what each does; from its ``made.json``.

    Empty for a checkpoint that tells of none, or that no longer lies where it did.
    """
    path = store.config.controller.folder / "made.json"
    return dict(json.loads(path.read_text(encoding="utf-8")).get("habits", {})) if path.is_file() else {}


def _split(name: str, rows: Sequence[tuple[int, Mapping[str, Metric]]], told: Sequence[Graded], seed: int) -> Split:
    columns = tuple(dict.fromkeys(column for _, metrics in rows for column in metrics))
    change, tasks = mistakes.gain(told, seed) or (None, 0)
    groups = tuple(mistakes.groups(told))
    return Split(name, columns, tuple(rows), chart(name, rows), change, tasks, mistakes.mistakes(told), groups)


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
