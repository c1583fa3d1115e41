"""Answers of tools by key, so that n candidates who ask the same pay once."""

from __future__ import annotations

import base64
import json
from typing import Protocol

from sport.tools.base import Answered


class Cache(Protocol):
    """Text by key. A value never changes: whoever puts a key twice puts the same text."""

    def get(self, key: str) -> str | None:
        """The text, or None."""
        ...

    def put(self, key: str, value: str) -> None:
        """Keep it."""
        ...


class MemoryCache:
    """Forgets everything at the end of the process; grows without bound."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """The text, or None."""
        return self._texts.get(key)

    def put(self, key: str, value: str) -> None:
        """Keep it."""
        self._texts[key] = value


def dump(answer: Answered) -> str:
    """Value, files (base64) and error as JSON; what it cost is left out."""
    files = {name: base64.b64encode(data).decode() for name, data in answer.files.items()}
    return json.dumps({"value": answer.value, "files": files, "error": answer.error}, allow_nan=False)


def parse(text: str) -> Answered:
    """The answer that :func:`dump` wrote, marked as cached."""
    data = json.loads(text)
    files = {name: base64.b64decode(coded) for name, coded in data["files"].items()}
    return Answered(value=data["value"], files=files, error=data["error"], cached=True)
