"""Reading order: top to bottom by rows, and left to right within a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels

SHARED = 0.5  # two boxes stand on one row when they share this part of the lower one's height


def rows(items: Iterable[Item], box: Callable[[Item], Box]) -> list[list[Item]]:
    """Items by visual row. A row is as high as its first member, the one whose middle is topmost.

    Not covered: pages that are tilted so far that the ends of one line share less than half of their height.
    """
    found: list[list[Item]] = []
    for item in sorted(items, key=lambda item: (box(item)[1] + box(item)[3], box(item)[0])):
        home = next((row for row in found if _same(box(row[0]), box(item))), None)
        if home is None:
            found.append([item])
        else:
            home.append(item)
    return [sorted(row, key=lambda item: box(item)[0]) for row in found]


def _same(a: Box, b: Box) -> bool:
    shared = min(a[3], b[3]) - max(a[1], b[1])
    return shared > SHARED * min(a[3] - a[1], b[3] - b[1])
