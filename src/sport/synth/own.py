"""Tasks of a user's own in place of synthesised ones, behind the same two Protocols.

Every iteration explores the next ``synth.tasks`` lines of the file; the query-file check keeps all of them, since
whoever wrote them has looked. Their answers go with no task: an explored one has no key, so nobody can read it.
"""

from __future__ import annotations

from pathlib import Path

from sport.errors import InputError
from sport.own import Own, load
from sport.synth.base import Check, Draft
from sport.types import Task


class OwnWriter:
    """Drafts from a file.

    Args:
        path: JSON lines, as :mod:`sport.own` reads them.
        tasks: of one iteration; iteration k takes the k-th so many.

    Raises:
        InputError: as :func:`sport.own.load`.
    """

    def __init__(self, path: Path, tasks: int) -> None:
        self._path = path
        self._each = tasks
        self._tasks: list[Own] = load(path)

    async def write(self, iteration: int, ordinal: int) -> Draft:
        """The draft with this number. Drafts beyond an iteration's are asked for in chunks and never kept: blanks.

        Raises:
            InputError: the file has no tasks left for this iteration.
        """
        place = (iteration - 1) * self._each + ordinal
        if place >= len(self._tasks) and ordinal < self._each:
            raise InputError(
                f"{self._path}: holds {len(self._tasks)} tasks; iteration {iteration} with synth.tasks = {self._each} "
                "needs more: add lines, or take fewer tasks or iterations"
            )
        task = self._tasks[min(place, len(self._tasks) - 1)]
        return Draft(f"own-{iteration}-{task.id}", task.query, task.files, None)


class KeepAll:
    """Keeps every task."""

    async def check(self, task: Task) -> Check:
        """Kept."""
        return Check(True, "a task of the user's own")
