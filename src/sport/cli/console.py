"""Where commands write: results to standard output, everything else to standard error; and tables of figures."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sport.store import Store
    from sport.types import Metric

WRAP: dict[str, Any] = {"soft_wrap": True, "highlight": False}
PLAIN: dict[str, Any] = {**WRAP, "markup": False}


def stdout() -> Console:
    """Where results go, as the stream is now."""
    return Console(file=sys.stdout)


def stderr() -> Console:
    """Where progress and messages go, as the stream is now."""
    return Console(file=sys.stderr)


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))


def figures(store: Store, caveat: str | None = None, *, unit: str = "after iteration", changes: bool = True) -> None:
    """A table a split of what was measured; figures of data that the controller grew from are marked."""
    from sport import bases

    measured = list(store.metrics())
    seeds = bases.seeded(store.config.controller.checkpoint, store.config.controller.adapter)
    for split in dict.fromkeys(split for _, split, _ in measured):
        columns = [(column, metrics) for column, found, metrics in measured if found == split]
        title = f"{split}, {caveat}" if caveat else split
        stdout().print(_table(title, columns, "*" if seeds else "", unit, changes=changes))
    if seeds:
        words = " and ".join(seeds)
        stdout().print(
            f"* the controller was tuned on data grown from items of {words}: no measure of it there", **PLAIN
        )


def _table(
    split: str, columns: Sequence[tuple[int, dict[str, Metric]]], mark: str, unit: str, *, changes: bool
) -> Table:
    """One row a metric, one column an evaluation; the last column is the change in points."""
    table = Table("metric", title=f"{split}: per cent [95 % interval]", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, (iteration, _) in enumerate(columns):
        table.add_column("before" if changes and place == 0 else f"{unit} {iteration}", justify="right")
    changed = changes and len(columns) > 1
    if changed:
        table.add_column("change", justify="right")
    for name in dict.fromkeys(name for _, metrics in columns for name in metrics):
        found = [metrics.get(name) for _, metrics in columns]
        change = [_change(found[0], found[-1])] if changed else []
        table.add_row(name + mark, *(_cell(metric) for metric in found), *change)
    return table


def _cell(metric: Metric | None) -> str:
    return "-" if metric is None else f"{metric.interval}\nn={metric.n}"


def _change(first: Metric | None, last: Metric | None) -> str:
    if first is None or last is None:
        return "-"
    change = first.show(last.value - first.value)
    return change if change.startswith("-") else f"+{change}"


def summary(store: Store) -> None:
    """Before and after with 95 % intervals, one table a split; then the pairs of every iteration, or T3's check."""
    figures(store)
    lines = _warm_start(store) if store.config.method == "t3" else [_pairs(store)]
    stdout().print("\n".join(lines), **PLAIN)


def _pairs(store: Store) -> str:
    counts = [f"iteration {k}: {len(store.pairs(k))}" for k in range(1, store.config.iterations + 1)]
    return "pairs: " + ", ".join(counts)


def _warm_start(store: Store) -> list[str]:
    """What the trajectory check came to, and how a run of SPORT starts from the adapter."""
    note = store.stage_done(1, "review") or {}
    checked = "trajectories: " + ", ".join(f"{number} {word}" for word, number in note.items())
    adapter = store.adapter(1)
    if adapter is None:
        return [checked, "no adapter: no trajectory was kept"]
    return [checked, f"warm start: sport run CONFIG --set controller.adapter={quoted(store.folder / adapter)}"]
