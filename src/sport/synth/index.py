"""Captions as vectors on disk, made once, and exact search among them.

100,000 captions of 1,024 numbers are 400 MB; one search multiplies them all. The file is mapped, not read, so that
memory is the system's to give.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from sport.blobs import write_atomically
from sport.errors import InputError
from sport.events import Progress
from sport.synth.base import Embedder, Vectors
from sport.synth.journal import patiently

CHUNK = 8192  # rows multiplied at once


async def build(
    captions: Sequence[str], embedder: Embedder, folder: Path, progress: Progress, *, batch: int
) -> Vectors:
    """A row a caption, from ``folder`` where they are there already (by the content of captions and model).

    Rows are durable batch by batch; a build that was stopped goes on where it was.

    Raises:
        ModelError: the embedder failed.
    """
    identity = hashlib.sha256("\x1f".join((embedder.name, *captions)).encode()).hexdigest()[:24]
    done = folder / f"{identity}.npy"
    if done.exists():
        return _mapped(done, len(captions))
    folder.mkdir(parents=True, exist_ok=True)
    part, mark = folder / f"{identity}.part", folder / f"{identity}.rows"
    ready = int(mark.read_text()) if part.exists() and mark.exists() else 0
    progress.start("index", len(captions), "captions")
    progress.advance("index", ready)
    rows = np.lib.format.open_memmap(part, mode="r+") if ready else None
    async with embedder.lane():
        for begin in range(ready, len(captions), batch):
            piece = captions[begin : begin + batch]
            made = await patiently(partial(embedder.embed, piece))
            if rows is None:
                rows = np.lib.format.open_memmap(
                    part, mode="w+", dtype=np.float32, shape=(len(captions), made.shape[1])
                )
            rows[begin : begin + len(made)] = made
            rows.flush()
            write_atomically(mark, str(begin + len(made)).encode())
            progress.advance("index", len(made))
    del rows
    part.replace(done)
    mark.unlink(missing_ok=True)
    progress.finish("index", f"{len(captions):,} captions")
    return _mapped(done, len(captions))


def ready(path: str, entries: int) -> Vectors:
    """A user's own ``.npy`` of embeddings, made length 1.

    Raises:
        InputError: not such a file, or not a row an entry.
    """
    rows = _mapped(Path(path), entries)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if np.allclose(lengths, 1, atol=1e-3):
        return rows
    made: Vectors = (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return made


def best(rows: Vectors, query: Vectors, without: Sequence[int] = ()) -> tuple[int, float]:
    """The row with the largest cosine to ``query`` (width,), the first of equals, and that cosine.

    Raises:
        InputError: vectors of different width, which come from different models.
    """
    if rows.shape[1] != query.shape[-1]:
        raise InputError(
            f"synth.images.embeddings: rows of {rows.shape[1]} numbers, and queries of {query.shape[-1]}; "
            "set [synth.images.embedding] to the model that made them"
        )
    scores = np.concatenate([rows[i : i + CHUNK] @ query for i in range(0, len(rows), CHUNK)])
    scores[list(without)] = -np.inf
    place = int(scores.argmax())
    return place, float(scores[place])


def _mapped(path: Path, entries: int) -> Vectors:
    try:
        rows = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"synth.images.embeddings: {path}: cannot be read as .npy ({error})") from error
    if rows.ndim != 2 or len(rows) != entries or rows.dtype.kind != "f":
        raise InputError(
            f"synth.images.embeddings: {path}: {rows.dtype} of shape {rows.shape}; expected {entries} rows of floats, "
            "one for every entry of the library"
        )
    mapped: Vectors = rows if rows.dtype == np.float32 else rows.astype(np.float32)
    return mapped
