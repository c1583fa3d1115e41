"""Records of a data set by number: JSON lines, a JSON list, parquet, a directory of these, or a sequence in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sport.errors import InputError

ENDINGS = (".jsonl", ".json", ".parquet")
Raw = Mapping[str, Any]
Source = str | Path | Sequence[Raw]
"""What a user hands in: a path, or records (a list of dicts, a ``datasets.Dataset``)."""


@dataclass(frozen=True)
class Record:
    """One record, where it stands (for messages), and the directory that its relative paths start from."""

    where: str
    data: Raw
    folder: Path


def count(source: Source) -> int:
    """How many records there are. Reads no pictures.

    Raises:
        InputError: as :func:`each`.
    """
    if not isinstance(source, str | Path):
        return len(source)
    return sum(_size(file) for file in files(Path(source)))


def each(source: Source, wanted: Iterable[int] | None = None) -> Iterator[Record]:
    """All records in order, or those with the numbers ``wanted``.

    Raises:
        InputError: no such file, one that is none of the kinds, or one that cannot be read; the line is named.
    """
    chosen = None if wanted is None else set(wanted)
    if not isinstance(source, str | Path):
        for number, data in enumerate(source):
            if chosen is None or number in chosen:
                yield Record(f"record {number}", _object(data, f"record {number}"), Path())
        return
    start = 0
    for file in files(Path(source)):
        read = {".jsonl": _lines, ".json": _list, ".parquet": _parquet}[file.suffix]
        size = start
        for number, (where, data) in enumerate(read(file), start=start):
            size = number + 1
            if chosen is None or number in chosen:
                yield Record(where, _object(data, where), file.parent)
        start = size


def files(path: Path) -> list[Path]:
    """The file itself, or all files of the known kinds below a directory, by name."""
    if path.is_file() and path.suffix in ENDINGS:
        return [path]
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix in ENDINGS and file.is_file())
        if found:
            return found
        raise InputError(f"{path}: no data in this directory; expected files ending in {', '.join(ENDINGS)}")
    if path.exists():
        raise InputError(f"{path}: not a data file; expected one ending in {', '.join(ENDINGS)}")
    raise InputError(f"{path}: no such file or directory; give the data set to tune on")


def _size(file: Path) -> int:
    if file.suffix == ".parquet":
        return int(_open_parquet(file).metadata.num_rows)
    return sum(1 for _ in (_lines if file.suffix == ".jsonl" else _list)(file))


def _lines(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        with file.open(encoding="utf-8") as source:
            for number, line in enumerate(source, start=1):
                if line.strip():
                    yield f"{file}:{number}", _parse(line, f"{file}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error


def _list(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        data = _parse(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    if not isinstance(data, list):
        raise InputError(f"{file}: expected a JSON list of records; write one record a line into a .jsonl file instead")
    for number, one in enumerate(data):
        yield f"{file}, record {number}", one


def _parquet(file: Path) -> Iterator[tuple[str, Any]]:
    number = 0
    for batch in _open_parquet(file).iter_batches(batch_size=64):
        for one in batch.to_pylist():
            yield f"{file}, row {number}", one
            number += 1


def _open_parquet(file: Path) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(f"{file}: reading parquet needs pyarrow; pip install pyarrow") from error
    try:
        return ParquetFile(file)
    except (ArrowException, OSError) as error:
        raise InputError(f"{file}: not a whole parquet file ({error}); copy or download it again") from error


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: not valid JSON ({error})") from error


def _object(data: Any, where: str) -> Raw:
    if not isinstance(data, Mapping):
        raise InputError(f"{where}: expected an object with fields, got {type(data).__name__}")
    return data
