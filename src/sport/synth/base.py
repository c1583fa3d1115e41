"""Who writes tasks and who checks them. The embedded world and a language model are both writers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sport.types import Json, Key, Task


@dataclass(frozen=True)
class Draft:
    """A task before the store has taken its files. ``key`` is None where nobody knows the answer."""

    id: str
    query: str
    files: Mapping[str, bytes]
    key: Key | None


@dataclass(frozen=True)
class Check:
    """What the query-file check found: keep or drop, and why."""

    kept: bool
    reason: str
    notes: Mapping[str, Json] = field(default_factory=dict)


class Writer(Protocol):
    """Writes the tasks of an iteration, by number."""

    async def write(self, iteration: int, ordinal: int) -> Draft:
        """The draft with this number; equal arguments give equal drafts."""
        ...


class Checker(Protocol):
    """Finds out whether a query fits its files (SPORT section 3.2, T3 section 4.2)."""

    async def check(self, task: Task) -> Check:
        """Sees the query and the files, never the key. Raises ModelError."""
        ...
