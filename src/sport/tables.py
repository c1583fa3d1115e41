"""Tables of benchmarks for the terminal: published figures beside measured ones, and one run beside another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from rich.table import Table

from sport.bench.compare import Compared
from sport.bench.published import published
from sport.config import Bench
from sport.report.versus import Line
from sport.stats import unpaired
from sport.types import Metric


def beside(bench: Bench, measured: Sequence[tuple[int, str, Mapping[str, Metric]]]) -> Table:
    """One row a figure: published, measured in the first repeat, and their difference with its 95 % interval.

    Where nothing is published under the run's ``bench.row``, the column says so. The difference takes the two as
    independent (Newcombe), since published answers to single tasks are not to be had.
    """
    known = published(bench.row, bench.kind)
    note = "" if bench.images else "; not comparable: without images"
    note += f"; {bench.candidates} candidates a step, judged" if bench.candidates > 1 else ""
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
        table.add_row(name, str(before or "-"), str(after or "-"), _change(before, after))
    return table


def _change(before: Metric | None, after: Metric | None) -> str:
    if before is None or after is None:
        return "-"
    change = unpaired(before, after)
    return f"{100 * change.value:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"


# ------------------------------------------------------------------------------------------- two runs


def versus(found: Sequence[Compared]) -> list[Table]:
    """One table a split: both figures, the paired change with its interval, p of the exact test, and what flipped."""
    made = []
    for split in dict.fromkeys(one.split for one in found):
        table = Table("figure", title=f"{split}: per cent; change in points [95 %, paired over tasks]")
        for heading in ("tasks", "first", "second", "change", "p (exact)", "gained", "lost"):
            table.add_column(heading, justify="right")
        for one in (one for one in found if one.split == split):
            line, counts = _line(one), (str(len(one.gained)), str(len(one.lost))) if one.p is not None else ("-", "-")
            table.add_row(one.figure, str(one.n), line.before, line.after, line.change, line.p, *counts)
        made.append(table)
    return made


def lines(found: Sequence[Compared]) -> list[Line]:
    """The same for a page."""
    return [_line(one, f"{one.split}: {one.figure} (n={one.n})") for one in found]


def flips(found: Sequence[Compared], most: int = 30) -> str:
    """Which tasks flipped, of the first figure that is a matter of yes or no; the page has all."""
    main = _main(found)
    if main is None:
        return "no figure here is right or wrong by task"
    parts = []
    for word, tasks in (("gained", main.gained), ("lost", main.lost)):
        more = f" and {len(tasks) - most} more" if len(tasks) > most else ""
        parts.append(f"{word} ({len(tasks)}): {', '.join(tasks[:most]) or '-'}{more}")
    return f"{main.split} {main.figure}; " + "; ".join(parts)


def flipped(found: Sequence[Compared]) -> list[tuple[str, str]]:
    """(task, "gained" or "lost") of that figure, by turns."""
    main = _main(found)
    if main is None:
        return []
    columns = ([(task, "gained") for task in main.gained], [(task, "lost") for task in main.lost])
    return [one for pair in zip_longest(*columns) for one in pair if one is not None]


def _main(found: Sequence[Compared]) -> Compared | None:
    """What flips are told of: the official rule where there is one, else the first figure of yes or no."""
    simple = [one for one in found if one.p is not None]
    return next((one for one in simple if one.figure.startswith("AnsAcc official")), simple[0] if simple else None)


def _line(one: Compared, name: str = "") -> Line:
    change = f"{100 * one.change.value:+.1f} [{100 * one.change.low:+.1f}, {100 * one.change.high:+.1f}]"
    p = "-" if one.p is None else f"{one.p:.3f}" if one.p >= 0.0005 else "< 0.001"
    return Line(name or one.figure, f"{100 * one.before:.1f}", f"{100 * one.after:.1f}", change, p)
