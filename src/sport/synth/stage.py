"""Queries -> files -> check, until enough tasks are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from sport import crash
from sport.errors import ConfigError
from sport.events import Progress
from sport.synth.base import Check, Checker, Draft, Writer
from sport.synth.journal import settled
from sport.types import File, Json, Key, Task

CHUNK = 16  # drafts looked at together; each depends on its number only, so what is kept does not depend on timing
DROPPED_BY = ("near-duplicate", "benchmark", "files", "check")
"""How reasons begin that are counted, by a colon from the rest."""


class Checked(Protocol):
    """What became of a task."""

    @property
    def kept(self) -> bool:
        """Whether it is explored."""

    @property
    def reason(self) -> str:
        """Why, or why not."""


class TaskStore(Protocol):
    """What synthesis needs of the store."""

    def put(self, name: str, data: bytes, media_type: str | None = None) -> File:
        """Keep bytes by content."""

    def add_task(self, task: Task, key: Key | None, *, split: str, iteration: int, ordinal: int) -> None:
        """A task and its key."""

    def add_check(self, task_id: str, kept: bool, reason: str, notes: Mapping[str, Json]) -> None:
        """What became of it."""

    def checks(self, split: str, iteration: int | None = None) -> Sequence[Checked]:
        """What became of all of them."""

    def tasks(self, split: str, iteration: int | None = None, *, kept: bool = True) -> list[Task]:
        """Tasks by ordinal."""


async def synthesise(
    store: TaskStore,
    writer: Writer,
    checker: Checker,
    *,
    iteration: int,
    wanted: int,
    progress: Progress,
    give_up: int | None = None,
) -> dict[str, int]:
    """Write and check drafts in order of their number until ``wanted`` are kept; goes on where a killed run stopped.

    Returns how many were written and kept, and how many fell to each of :data:`DROPPED_BY`.

    Raises:
        ConfigError: ``give_up`` drafts in a row were dropped; the message has the commonest reason.
    """
    written = len(store.tasks("explore", iteration, kept=False))
    kept = len(store.tasks("explore", iteration))
    lost: list[str] = []  # reasons since the last one that was kept
    progress.start("synth", wanted, "tasks")
    progress.advance("synth", kept)
    while kept < wanted:
        ahead = range(written, written + min(CHUNK, wanted - kept))
        drafts = await settled([writer.write(iteration, ordinal) for ordinal in ahead])
        tasks = [take(store, draft) for draft in drafts]
        checks = await settled([_check(checker, d, t) for d, t in zip(drafts, tasks, strict=True)])
        for draft, task, check in zip(drafts, tasks, checks, strict=True):
            _record(store, draft, task, check, iteration, written)
            written, kept = written + 1, kept + check.kept
            lost = [] if check.kept else [*lost, check.reason]
            progress.advance("synth", int(check.kept), f"{written - kept} dropped")
        if give_up is not None and len(lost) >= give_up:
            raise ConfigError(_hopeless(lost))
    progress.finish("synth", f"{kept} of {written} drafts kept")
    return {"written": written, "kept": kept, **_counts(store, iteration)}


async def _check(checker: Checker, draft: Draft, task: Task) -> Check:
    if draft.dropped is not None:
        return Check(False, draft.dropped)
    return await checker.check(task)


def _counts(store: TaskStore, iteration: int) -> dict[str, int]:
    """From the store, so that they hold for all attempts at this stage."""
    begun = Counter(one.reason.partition(":")[0] for one in store.checks("explore", iteration) if not one.kept)
    return {name: begun[name] for name in DROPPED_BY if name in begun}


def _hopeless(reasons: Sequence[str]) -> str:
    [(kind, number)] = Counter(reason.partition(":")[0] for reason in reasons).most_common(1)
    example = next(reason for reason in reversed(reasons) if reason.startswith(kind))
    return (
        f"synth: the last {len(reasons)} drafts were all dropped, {number} of them by {kind!r}, for example "
        f"({example}); mend the settings of [synth], or raise synth.give_up"
    )


def take(store: TaskStore, draft: Draft) -> Task:
    """Put a draft's files into the store; the task names them by content."""
    files: Sequence[File] = [store.put(name, data) for name, data in draft.files.items()]
    return Task(id=draft.id, query=draft.query, files=tuple(files), origin=draft.origin)


def _record(store: TaskStore, draft: Draft, task: Task, check: Check, iteration: int, ordinal: int) -> None:
    notes = {**draft.notes, **check.notes}
    if check.query is not None:
        notes["first_query"], task = task.query, task.model_copy(update={"query": check.query})
    store.add_check(task.id, check.kept, check.reason, notes)
    crash.here("after_check")
    store.add_task(task, draft.key, split="explore", iteration=iteration, ordinal=ordinal)
