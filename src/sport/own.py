"""Tasks of a user's own, as JSON lines: what ``sport eval tasks`` and ``sport explore --tasks`` read.

A line is ``{"query": ..., "files": [...], "answer": ...}``. ``files`` are paths relative to the file's folder; ``id``
is the line's number unless given. How an answer is scored is said by ``scorer``:

* ``exact``: equal after normalising case, white space and the full stop; the default where there is an ``answer``.
* ``numeric``: the whole answer is a number that equals the wanted one, within ``tolerance`` (0 unless given).
* ``whitelist``: every group of ``whitelist`` is found as whole words, none of ``blacklist``, as GTA's mended rule has
  it; the default where there is a ``whitelist``.
* ``judge``: a language model (``bench.judge``) says whether the answer says the same as ``answer``.

``tools`` names tools without whose call the task cannot honestly be answered. A line without answer and whitelist can
be explored and answered, not scored. Never hand in items of a benchmark to be explored: nothing here can tell.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sport.errors import InputError

Scorer = Literal["exact", "numeric", "whitelist", "judge"]
FILE_LIMIT = 32 << 20  # bytes: what tools read


class Line(BaseModel):
    """One task as it stands in the file; ``answer`` may be written as a number."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, frozen=True)

    query: str = Field(min_length=1)
    id: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    files: tuple[str, ...] = ()
    answer: str | None = None
    whitelist: tuple[tuple[str, ...], ...] | None = Field(default=None, min_length=1)
    blacklist: tuple[tuple[str, ...], ...] | None = None
    scorer: Scorer | None = None
    tolerance: float = Field(default=0.0, ge=0)
    tools: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_what_its_scorer_reads(self) -> Self:
        if self.scorer == "whitelist" and self.whitelist is None:
            raise ValueError("scorer whitelist needs a whitelist: [[alias, ...], ...]")
        if self.scorer in ("exact", "numeric", "judge") and self.answer is None:
            raise ValueError(f"scorer {self.scorer} needs an answer")
        return self

    @property
    def rule(self) -> Scorer | None:
        """How it is scored; None when nothing says what is right."""
        if self.scorer is not None:
            return self.scorer
        return "whitelist" if self.whitelist is not None else "exact" if self.answer is not None else None


@dataclass(frozen=True)
class Own:
    """A task with the bytes of its files by name. ``line`` holds what is right: for scorers alone."""

    id: str
    query: str
    files: Mapping[str, bytes]
    line: Line


def load(path: Path) -> list[Own]:
    """The tasks of a file, in its order, with their files read.

    Raises:
        InputError: no such file, a line of another shape, an id twice, a file that is missing, too large, or of the
            same name as another of its task. The message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as JSON lines ({error})") from error
    found = [_task(path, number, text) for number, text in enumerate(lines, 1) if text.strip()]
    if not found:
        raise InputError(f'{path}: holds no task; expected one {{"query": ..., "files": [...], "answer": ...}} a line')
    twice = [name for name, times in Counter(task.id for task in found).items() if times > 1]
    if twice:
        raise InputError(f"{path}: id {', '.join(twice[:5])} stands there more than once; give every task its own")
    return found


def _task(path: Path, number: int, text: str) -> Own:
    where = f"{path}: line {number}"
    try:
        line = Line.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Line.model_fields)
        raise InputError(f"{where}: {place or 'the task'}: {first['msg']}; a task may have {known}") from error
    files = {}
    for name in line.files:
        file = path.parent / name
        if file.name in files:
            raise InputError(f"{where}: two files are named {file.name}; they would lie in one folder")
        files[file.name] = _bytes(where, file)
    return Own(line.id or f"t{number}", line.query, files, line)


def _bytes(where: str, file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(
            f"{where}: {file}: cannot be read ({error.strerror}); files are relative to the list"
        ) from error
    if len(data) > FILE_LIMIT:
        raise InputError(f"{where}: {file}: larger than {FILE_LIMIT >> 20} MiB, which is all that tools read")
    return data
