"""Who writes tasks and who checks them, and what they need of others.

The embedded world and a language model are both writers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sport.types import File, Json, Key, Task


@dataclass(frozen=True)
class Draft:
    """A task before the store has taken its files. ``key`` is None where nobody knows the answer.

    ``dropped`` says why the writer himself drops it (None: it goes to the check): "near-duplicate", "benchmark" or
    "files", a colon, and what exactly. ``notes`` say where it came from.
    """

    id: str
    query: str
    files: Mapping[str, bytes]
    key: Key | None
    origin: str = "world"
    dropped: str | None = None
    notes: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """What the query-file check found: keep or drop, and why. ``query`` is the revised one, None where it stays."""

    kept: bool
    reason: str
    notes: Mapping[str, Json] = field(default_factory=dict)
    query: str | None = None


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


Vectors = npt.NDArray[np.float32]
"""(n, width), every row of length 1."""

LookInto = Callable[[File], Awaitable[str]]
"""A document's text as the agent's own tool reads it. Raises ToolError where it cannot be read."""


class Memory(Protocol):
    """Texts by key that outlive the process: what was paid for is never paid for again."""

    def get(self, key: str) -> str | None:
        """The text under a key, or None."""
        ...

    def put(self, key: str, value: str) -> None:
        """Keep a text."""
        ...

    def flush(self) -> None:
        """Return when everything that was put is durable."""
        ...


class Embedder(Protocol):
    """Texts as vectors."""

    @property
    def name(self) -> str:
        """Vectors of equal names may be compared."""
        ...

    def lane(self) -> AbstractAsyncContextManager[None]:
        """Connections stay open as long as anybody is inside."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text, in order. Raises ModelError."""
        ...


class Painter(Protocol):
    """Pictures from words."""

    @property
    def name(self) -> str:
        """Of the model."""
        ...

    async def paint(self, words: str, seed: int) -> bytes:
        """The bytes of a picture. Raises ModelError."""
        ...


@dataclass(frozen=True)
class Found:
    """A picture for a description: bytes, the ending of its name, and where it came from.

    ``data`` is None where this source has none; ``notes`` then say why.
    """

    data: bytes | None
    ending: str
    notes: Mapping[str, Json]


class Illustrator(Protocol):
    """A source of pictures."""

    async def find(self, shows: str, seed: int) -> Found:
        """The picture that shows this. Raises ModelError."""
        ...
