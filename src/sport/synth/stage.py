"""Queries -> files -> check, until enough tasks are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from sport import crash
from sport.events import Progress
from sport.synth.base import Check, Checker, Draft, Writer
from sport.types import File, Json, Key, Task

CHUNK = 16  # drafts looked at together; fixed, so that what is kept does not depend on timing


class TaskStore(Protocol):
    """What synthesis needs of the store."""

    def put(self, name: str, data: bytes, media_type: str | None = None) -> File:
        """Keep bytes by content."""

    def add_task(self, task: Task, key: Key | None, *, split: str, iteration: int, ordinal: int) -> None:
        """A task and its key."""

    def add_check(self, task_id: str, kept: bool, reason: str, notes: Mapping[str, Json]) -> None:
        """What became of it."""

    def tasks(self, split: str, iteration: int | None = None, *, kept: bool = True) -> list[Task]:
        """Tasks by ordinal."""


async def synthesise(
    store: TaskStore, writer: Writer, checker: Checker, *, iteration: int, wanted: int, progress: Progress
) -> dict[str, int]:
    """Write and check drafts in order of their number until ``wanted`` are kept; goes on where a killed run stopped.

    Returns how many were written and kept, and how many fell to each reason.
    """
    written = len(store.tasks("explore", iteration, kept=False))
    kept = len(store.tasks("explore", iteration))
    progress.start("synth", wanted, "tasks")
    progress.advance("synth", kept)
    while kept < wanted:
        drafts = [await writer.write(iteration, ordinal) for ordinal in range(written, written + CHUNK)]
        tasks = [take(store, draft) for draft in drafts]
        checks = await asyncio.gather(*(checker.check(task) for task in tasks))
        for draft, task, check in zip(drafts, tasks, checks, strict=True):
            _record(store, draft, task, check, iteration, written)
            written, kept = written + 1, kept + check.kept
            progress.advance("synth", int(check.kept), f"{written - kept} dropped")
            if kept == wanted:
                break
    progress.finish("synth", f"{kept} of {written} drafts kept")
    return {"written": written, "kept": kept}


def take(store: TaskStore, draft: Draft) -> Task:
    """Put a draft's files into the store; the task names them by content."""
    files: Sequence[File] = [store.put(name, data) for name, data in draft.files.items()]
    return Task(id=draft.id, query=draft.query, files=tuple(files))


def _record(store: TaskStore, draft: Draft, task: Task, check: Check, iteration: int, ordinal: int) -> None:
    store.add_check(task.id, check.kept, check.reason, check.notes)
    crash.here("after_check")
    store.add_task(task, draft.key, split="explore", iteration=iteration, ordinal=ordinal)
