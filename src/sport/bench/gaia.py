"""GAIA (arXiv 2311.12983): questions as parquet or JSON lines, with files attached. Gated: no item leaves a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sport.errors import InputError

LEVELS = (1, 2, 3)
SPLITS = ("validation", "test")
_COLUMNS = ("task_id", "Question", "Level", "Final answer", "file_name")
_NAMES = ("metadata.parquet", "metadata.jsonl")


@dataclass(frozen=True)
class Question:
    """One question. ``truth`` is None in the test split, whose answers nobody has; ``file`` is where it lies."""

    id: str
    query: str
    level: int
    truth: str | None
    file: Path | None


def load(path: Path, split: str = "validation", level: int | None = None) -> list[Question]:
    """The questions of a split, of one level or of all, in the file's order, with their attached files found.

    ``path`` is the data set's folder (``2023/<split>/metadata.parquet`` or ``.jsonl`` below it), the split's own
    folder, or the file itself.

    Raises:
        InputError: an unknown split or level, no metadata, other columns, a task_id twice, or attached files that are
            missing (which, and how many).
    """
    if split not in SPLITS:
        raise InputError(f"--split {split}: no such split; expected {' or '.join(SPLITS)}")
    if level is not None and level not in LEVELS:
        raise InputError(f"--level {level}: no such level; GAIA has {', '.join(map(str, LEVELS))}")
    file = _metadata(path, split)
    rows = _rows(file)
    found = [_question(file, row, number) for number, row in enumerate(rows, 1)]
    check_ids([one.id for one in found], file)
    chosen = [one for one in found if level is None or one.level == level]
    missing = [str(one.file) for one in chosen if one.file is not None and not one.file.is_file()]
    if missing:
        attached = sum(one.file is not None for one in chosen)
        raise InputError(f"{file}: {len(missing)} of {attached} attached files are missing: {', '.join(missing[:5])}")
    if not chosen:
        raise InputError(f"{file}: holds no question of level {level}" if rows else f"{file}: holds no question")
    return chosen


def check_ids(ids: Sequence[str], file: Path) -> None:
    """Raises InputError when an id stands there twice."""
    seen: set[str] = set()
    twice = sorted({one for one in ids if one in seen or seen.add(one)})  # type: ignore[func-returns-value]
    if twice:
        raise InputError(
            f"{file}: task_id {', '.join(twice[:5])} stands there more than once; give every task one line"
        )


def _metadata(path: Path, split: str) -> Path:
    if path.is_file():
        return path
    folders = (path / "2023" / split, path / split, path)
    for file in (folder / name for folder in folders for name in _NAMES):
        if file.is_file():
            return file
    raise InputError(
        f"{path}: holds no 2023/{split}/metadata.parquet (or .jsonl); give --data GAIA's folder as it is downloaded"
    )


def _rows(file: Path) -> list[Mapping[str, Any]]:
    if file.suffix == ".parquet":
        return _parquet(file)
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file}: cannot be read as JSON lines ({error})") from error
    if not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{file}: expected one JSON object a line")
    return rows


def _parquet(file: Path) -> list[Mapping[str, Any]]:
    import pandas

    try:
        frame = pandas.read_parquet(file)
    except ImportError as error:
        raise InputError(f"{file}: reading parquet needs pyarrow: pip install 'sport[bench]'") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as parquet ({error})") from error
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _question(file: Path, row: Mapping[str, Any], number: int) -> Question:
    lacking = [name for name in _COLUMNS if name not in row]
    if lacking:
        raise InputError(
            f"{file}: question {number} has no {', '.join(map(repr, lacking))}; expected GAIA's columns "
            f"({', '.join(_COLUMNS)}); another version cannot be read"
        )
    level = str(row["Level"])
    if level not in map(str, LEVELS):
        raise InputError(f"{file}: question {number}: level {level!r}; GAIA has {', '.join(map(str, LEVELS))}")
    truth, name = row["Final answer"], str(row["file_name"] or "").strip()
    if name and (name.startswith("/") or ".." in Path(name).parts):
        raise InputError(f"{file}: question {number}: file_name {name!r} leads out of the folder")
    return Question(
        id=str(row["task_id"]),
        query=str(row["Question"]),
        level=int(level),
        truth=None if truth in (None, "", "?") else str(truth),
        file=file.parent / name if name else None,
    )
