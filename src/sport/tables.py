"""Tables of benchmarks for the terminal: published figures beside measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from sport.bench.published import published
from sport.config import Bench
from sport.stats import unpaired
from sport.types import Metric


def beside(bench: Bench, measured: Sequence[tuple[int, str, Mapping[str, Metric]]]) -> Table:
    """One row a figure: published, measured in the first repeat, and their difference with its 95 % interval.

    Where nothing is published under the run's ``bench.row``, the column says so. The difference takes the two as
    independent (Newcombe), since published answers to single tasks are not to be had.
    """
    known = published(bench.row, bench.kind)
    note = "" if bench.images else "; not comparable: without images"
    table = Table("figure", title=f"{bench.kind} {bench.row or '(no published row)'}: per cent [95 % interval]{note}")
    for heading in ("published", "measured", "difference in points"):
        table.add_column(heading, justify="right")
    found = {
        f"{name} (steps)" if split == "gta-steps" else name: metric
        for repeat, split, metrics in measured
        if repeat == 0
        for name, metric in metrics.items()
    }
    for name in dict.fromkeys([*known, *found]):
        before, after = known.get(name), found.get(name)
        table.add_row(name, _cell(before), _cell(after), _change(before, after))
    return table


def _cell(metric: Metric | None) -> str:
    if metric is None:
        return "-"
    return f"{metric.show(metric.value)} [{metric.show(metric.low)}, {metric.show(metric.high)}] n={metric.n}"


def _change(before: Metric | None, after: Metric | None) -> str:
    if before is None or after is None:
        return "-"
    change = unpaired(before, after)
    return f"{100 * change.value:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
