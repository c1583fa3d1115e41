"""What the web answered, kept in a folder so that an evaluation can be repeated: one JSON file an answer.

A file's name is the hash of what was asked, headers and keys left out. People may read and mend the files; a body that
is text stands there as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sport.errors import ToolError
from sport.types import Json

Mode = Literal["live", "record", "replay"]


@dataclass(frozen=True)
class Answer:
    """One reply: ``url`` is the last one after redirects, ``media_type`` without parameters."""

    url: str
    status: int
    media_type: str
    body: bytes


class Recording:
    """Answers from the folder where it has one; else asks and, when recording, keeps it. Replaying asks nobody."""

    def __init__(self, mode: Mode, folder: Path | None) -> None:
        self._mode = mode
        self._folder = folder

    def get(self, asked: Mapping[str, Json], live: Callable[[], Answer]) -> Answer:
        """The answer to ``asked``, which must be JSON.

        Raises:
            ToolError: it is not in the recording that is replayed; and whatever ``live`` raises, which is not kept.
        """
        if self._folder is None or self._mode == "live":
            return live()
        path = self._folder / f"{name(asked)}.json"
        if path.is_file():
            return _read(path)
        if self._mode == "replay":
            raise ToolError(f"the recording has no answer to {json.dumps(asked, sort_keys=True)}")
        answer = live()
        _write(path, asked, answer)
        return answer


def name(asked: Mapping[str, Json]) -> str:
    """16 hex digits: the name of the file that holds the answer."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> Answer:
    data = json.loads(path.read_text(encoding="utf-8"))
    body = data["text"].encode() if "text" in data else base64.b64decode(data["base64"])
    return Answer(data["url"], data["status"], data["media_type"], body)


def _write(path: Path, asked: Mapping[str, Json], answer: Answer) -> None:
    """Whole or not at all: other workers read while this one writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        body = {"text": answer.body.decode()}
    except UnicodeDecodeError:
        body = {"base64": base64.b64encode(answer.body).decode()}
    kept = {"asked": asked, "url": answer.url, "status": answer.status, "media_type": answer.media_type, **body}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        json.dump(kept, file, ensure_ascii=False, indent=1, sort_keys=True)
    os.replace(file.name, path)
