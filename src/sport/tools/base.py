"""A tool: what a model is told about it, and a plain call. It runs in a worker process, never in the driver."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sport.types import File, Json, Message, ToolSpec


@dataclass(frozen=True)
class FileBytes:
    """A file argument as it crosses into a tool: bytes and media type. No name, no hash: neither may matter."""

    data: bytes
    media_type: str


@dataclass(frozen=True)
class ToolOutput:
    """What a tool returns: a JSON value and new files by suggested name (``crop.png``)."""

    value: Json = None
    files: Mapping[str, bytes] = field(default_factory=dict)


class Tool(Protocol):
    """Spec and call. An instance is made inside the worker process, from an import path and options."""

    @property
    def spec(self) -> ToolSpec:
        """Name, parameters and version."""
        ...

    def call(self, **arguments: Any) -> Json | ToolOutput:
        """Do it. ``file`` parameters arrive as :class:`FileBytes`.

        Raises:
            ToolError: the tool says no; the message is read by the model that called.
        """
        ...


CallTool = Callable[[str, Mapping[str, Any]], Awaitable["Answered"]]
"""``await call(name, arguments)``: the one callable that a sandbox is handed. File arguments are FileBytes."""

AskModel = Callable[[Sequence[Message], int], Awaitable[str]]
"""``await ask(messages, max_new_tokens)``: what a model says, greedily. Raises ModelError."""

Keep = Callable[[FileBytes], File]
"""Bytes as a file that a message can show."""


@dataclass(frozen=True)
class Answered:
    """The end of a tool call as the sandbox sees it: value and files, or an error text. Never an exception."""

    value: Json = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    error: str | None = None
    cached: bool = False
    wall_s: float = 0.0
