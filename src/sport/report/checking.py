"""The figures of the query-file check: how well it tells spoilt queries from sound ones, and why it dropped what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sport.stats import wilson
from sport.store import Checked, Store
from sport.types import Metric

_MOST_REASONS = 12


@dataclass(frozen=True)
class CheckFigures:
    """The query-file check of one iteration, or of all (``iteration`` None).

    Precision: share of dropped queries that were spoilt on purpose. Recall: share of spoilt queries that were dropped.
    None where there is no such query.
    """

    iteration: int | None
    written: int
    kept: int
    precision: Metric | None
    recall: Metric | None


@dataclass(frozen=True)
class Checks:
    """The check over all iterations: figures by iteration, why it dropped, and what of each kind of query it dropped.

    ``defects`` are (kind of defect or "sound", dropped, of how many).
    """

    rows: tuple[CheckFigures, ...]
    reasons: tuple[tuple[str, int], ...]
    defects: tuple[tuple[str, int, int], ...]


def checks(store: Store) -> Checks | None:
    """What the query-file check did; None when nothing was checked."""
    iterations = sorted({o.iteration for o in store.outlines("explore")})
    by_iteration = {i: found for i in iterations if (found := store.checks("explore", i))}
    every = [checked for found in by_iteration.values() for checked in found]
    if not every:
        return None
    rows = [_check(i, found) for i, found in by_iteration.items()]
    if len(rows) > 1:
        rows.append(_check(None, every))
    return Checks(tuple(rows), _reasons(every), _defects(every))


def _check(iteration: int | None, checked: Sequence[Checked]) -> CheckFigures:
    lost = [c for c in checked if not c.kept]
    spoilt = [c for c in checked if c.key is not None and c.key.defect is not None]
    hits = sum(not c.kept for c in spoilt)
    return CheckFigures(
        iteration,
        len(checked),
        len(checked) - len(lost),
        wilson(hits, len(lost)) if lost and spoilt else None,
        wilson(hits, len(spoilt)) if spoilt else None,
    )


def _reasons(checked: Sequence[Checked]) -> tuple[tuple[str, int], ...]:
    """Why queries were dropped, the most frequent first; reasons that differ in what they name count as one."""
    counts = Counter(_unnamed(c.reason) for c in checked if not c.kept)
    rows = counts.most_common()
    shown, rest = rows[:_MOST_REASONS], rows[_MOST_REASONS:]
    return (*shown, *([(f"{len(rest)} other reasons", sum(n for _, n in rest))] if rest else []))


def _unnamed(reason: str) -> str:
    """A reason without what it names.

    >>> _unnamed("'salt' is not in the files"), _unnamed("no red star in the picture")
    ('… is not in the files', 'no … in the picture')
    """
    return re.sub(r"^no .+ (?=in the picture$)", "no … ", re.sub(r"'[^']*'|\"[^\"]*\"", "…", reason))


def _defects(checked: Sequence[Checked]) -> tuple[tuple[str, int, int], ...]:
    """Of each kind of query, how many were dropped; nothing where no key tells sound from spoilt."""
    kinds = [(c.key.defect or "sound", not c.kept) for c in checked if c.key is not None]
    written, lost = Counter(kind for kind, _ in kinds), Counter(kind for kind, out in kinds if out)
    return tuple((kind, lost[kind], written[kind]) for kind in sorted(written, key=lambda k: (k == "sound", k)))
