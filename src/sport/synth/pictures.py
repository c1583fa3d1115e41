"""Pictures for descriptions: the closest of a library (SPORT, section 3.2: top 1 by caption), or a painted one."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from sport.config import SynthImages
from sport.errors import InputError
from sport.events import Progress
from sport.synth import index
from sport.synth.base import Embedder, Found, Illustrator, Memory, Painter, Vectors
from sport.synth.captions import Captioner, opened
from sport.synth.journal import patiently
from sport.synth.library import Entry
from sport.types import File, ReadFile

_ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "GIF": ".gif", "WEBP": ".webp"}
Log = Callable[..., None]


@dataclass(frozen=True)
class _Built:
    entries: Sequence[Entry]
    rows: Vectors


class Library(Illustrator):
    """The picture whose caption is closest, if it is close enough: a bad match is worse than none.

    Captions and vectors are made at the first question and kept on disk between runs. A picture that cannot be opened
    is passed over: the next best is taken. All that were passed over are in the run's log and in the notes.

    Args:
        settings: of pictures.
        entries: of the library.
        embedder: of captions and descriptions.
        captioner: for entries without caption; None where there are none.
        folder: keeps vectors between runs.
        memory: where vectors of descriptions are kept.
        progress: told of captions and vectors.
        log: of the run.
    """

    def __init__(
        self,
        settings: SynthImages,
        entries: Sequence[Entry],
        embedder: Embedder,
        captioner: Captioner | None,
        *,
        folder: Path,
        memory: Memory,
        progress: Progress,
        log: Log,
    ) -> None:
        self._settings = settings
        self._entries = entries
        self._embedder = embedder
        self._captioner = captioner
        self._folder = folder
        self._memory = memory
        self._progress = progress
        self._log = log
        self._built: _Built | None = None
        self._building = asyncio.Lock()
        self._unreadable: set[int] = set()

    async def find(self, shows: str, seed: int) -> Found:
        """See :meth:`Illustrator.find`; ``seed`` has no say. Raises InputError: no picture can be opened."""
        async with self._building:
            if self._built is None:
                self._built = await self._build()
        query = await self._vector(shows)
        while len(self._unreadable) < len(self._built.entries):
            without = sorted(self._unreadable)
            place, score = await asyncio.to_thread(index.best, self._built.rows, query, without)
            entry = self._built.entries[place]
            notes = {"source": "library", "image": str(entry.path), "caption": entry.caption, "score": round(score, 4)}
            if score < self._settings.floor:
                return Found(None, "", {**notes, "why": f"nothing above {self._settings.floor:g}"})
            try:
                data, ending = usual(await asyncio.to_thread(opened, entry.path))
                return Found(data, ending, notes)
            except InputError as error:
                self._unreadable.add(place)
                self._log("picture skipped", path=str(entry.path), why=str(error))
        raise InputError(f"synth.images.library: {self._settings.library}: not one of its pictures can be opened")

    async def _build(self) -> _Built:
        entries, settings = self._entries, self._settings
        if settings.embeddings:
            return _Built(entries, index.ready(settings.embeddings, len(entries)))
        if self._captioner is not None:
            entries, skipped = await self._captioner.fill(entries, self._progress)
            for path, why in skipped.items():
                self._log("picture skipped", path=path, why=why)
        captions = [entry.caption or "" for entry in entries]
        rows = await index.build(captions, self._embedder, self._folder, self._progress, batch=settings.embedding.batch)
        return _Built(entries, rows)

    async def _vector(self, text: str) -> Vectors:
        """Of a description, (width,); paid for once."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        key = f"synth vector {self._embedder.name} {digest}"
        if (known := self._memory.get(key)) is not None:
            return np.frombuffer(base64.b64decode(known), np.float32)
        made: Vectors = (await patiently(lambda: self._embedder.embed([text])))[0]
        self._memory.put(key, base64.b64encode(made.astype(np.float32).tobytes()).decode("ascii"))
        self._memory.flush()
        return made


class Painted(Illustrator):
    """A picture painted from the description; paid for once, its bytes lie in the run.

    Args:
        painter: paints.
        memory: remembers what was painted.
        put: keeps a picture's bytes.
        read: gives them back.
    """

    def __init__(self, painter: Painter, *, memory: Memory, put: Callable[[str, bytes], File], read: ReadFile) -> None:
        self._painter = painter
        self._memory = memory
        self._put = put
        self._read = read

    async def find(self, shows: str, seed: int) -> Found:
        """See :meth:`Illustrator.find`. What does not open as a picture is none, with the reason in the notes."""
        digest = hashlib.sha256(json.dumps([shows, seed]).encode()).hexdigest()
        key = f"synth picture {self._painter.name} {digest}"
        notes = {"source": "painted", "model": self._painter.name}
        if (known := self._memory.get(key)) is not None:
            file = File.model_validate_json(known)
            return Found(self._read(file), f".{file.name.rpartition('.')[2]}", notes)
        raw = await patiently(lambda: self._painter.paint(shows, seed))
        try:
            data, ending = usual(raw)
        except InputError as error:
            return Found(None, "", {**notes, "why": str(error)})
        self._memory.put(key, self._put(f"painted{ending}", data).model_dump_json())
        self._memory.flush()
        return Found(data, ending, notes)


def usual(data: bytes) -> tuple[bytes, str]:
    """A picture as it is with the ending of its format; in a format that servers do not take, as PNG.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            ending = _ENDINGS.get(picture.format or "")
            if ending is not None:
                return data, ending
            out = io.BytesIO()
            picture.convert("RGBA" if picture.has_transparency_data else "RGB").save(out, "PNG")
            return out.getvalue(), ".png"
    except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"cannot be opened as a picture ({error})") from error
