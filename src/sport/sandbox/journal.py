"""Journals on disk: one JSON object a line, appended as steps are taken, read back for ``restore``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sport.errors import InputError
from sport.sandbox.base import Entry

_ENTRY = TypeAdapter(Entry)


def save(path: Path, journal: Iterable[Entry]) -> None:
    """Write a whole journal. Files that tools made are in it by their hashes only: keep the store, too.

    Raises:
        OSError: it cannot be written.
    """
    path.write_bytes(b"".join(_ENTRY.dump_json(entry) + b"\n" for entry in journal))


def load(path: Path) -> tuple[Entry, ...]:
    """Read what :func:`save` wrote.

    Raises:
        InputError: no such file, or a line that is no entry.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a journal ({error})") from error
    return tuple(_entry(path, number, line) for number, line in enumerate(lines, 1) if line)


def _entry(path: Path, number: int, line: str) -> Entry:
    try:
        return _ENTRY.validate_python(json.loads(line))
    except (ValidationError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{path}, line {number}: not an entry of a journal ({why})") from error
