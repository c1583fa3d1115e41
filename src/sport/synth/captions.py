"""Captions for pictures that have none, by a vision-language model; kept by content between runs."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import PIL.Image

from sport.blobs import media_type_of
from sport.errors import ContentError, InputError
from sport.events import Progress
from sport.llm.base import LLM
from sport.synth.journal import patiently, settled
from sport.synth.library import Entry
from sport.types import File, Message, Sampling
from sport.wording import Prompt

AT_ONCE = 16
LONGEST = 400  # new tokens
PIXELS = 50_000_000


class Pictures:
    """The bytes of pictures that are on their way to a model, by content (a :data:`~sport.types.ReadFile`)."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def read(self, file: File) -> bytes:
        """What :meth:`hold` was given."""
        return self._held[file.sha256]

    def hold(self, path: Path, data: bytes) -> File:
        """Keep a picture until :meth:`drop`."""
        digest = hashlib.sha256(data).hexdigest()
        self._held[digest] = data
        return File(name=path.name, sha256=digest, size=len(data), media_type=media_type_of(path.name))

    def drop(self, file: File) -> None:
        """It is not needed any more."""
        self._held.pop(file.sha256, None)


@dataclass(frozen=True)
class Captioner:
    """Says what pictures show. ``pictures.read`` is what the model was given to read pictures with.

    ``folder`` keeps a JSONL of captions by (model, prompt, content): each is durable before the next is asked for, so
    that nothing is paid for twice.
    """

    llm: LLM
    name: str
    pictures: Pictures
    prompt: Prompt
    folder: Path

    async def fill(self, entries: Sequence[Entry], progress: Progress) -> tuple[list[Entry], dict[str, str]]:
        """The same entries with captions, and why those are left out that have none (by path).

        Raises:
            InputError: not one picture can be opened.
            ModelError: the model does not answer.
        """
        bare = [place for place, entry in enumerate(entries) if entry.caption is None]
        known, skipped = self._known(), dict[str, str]()
        made: list[Entry | None] = list(entries)
        left = deque(bare)
        progress.start("captions", len(bare), "pictures")

        async def work() -> None:
            try:
                while left:
                    place = left.popleft()
                    made[place] = await self._caption(entries[place], known, skipped)
                    progress.advance("captions", 1, f"{len(skipped)} skipped" if skipped else "")
            except BaseException:
                left.clear()  # nothing new is begun
                raise

        async with self.llm.lane():
            await settled(work() for _ in range(AT_ONCE))
        progress.finish("captions", f"{len(bare) - len(skipped)} made, {len(skipped)} skipped")
        whole = [entry for entry in made if entry is not None]
        if not whole:
            path, why = next(iter(skipped.items()))
            raise InputError(f"synth.images.library: none of its {len(entries)} pictures can be opened: {path}: {why}")
        return whole, skipped

    async def _caption(self, entry: Entry, known: dict[str, str], skipped: dict[str, str]) -> Entry | None:
        try:
            data = await asyncio.to_thread(opened, entry.path)
        except InputError as error:
            skipped[str(entry.path)] = str(error)
            return None
        file = self.pictures.hold(entry.path, data)
        try:
            if file.sha256 not in known:
                messages = [Message(role="user", parts=self.prompt.parts({"file": file}))]
                sampling = Sampling(temperature=0, max_new_tokens=LONGEST)
                [said] = await patiently(lambda: self.llm.sample(messages, 1, sampling))
                if not (text := " ".join(said.text.split())):
                    raise ContentError("an empty caption")
                known[file.sha256] = text
                self._keep(file.sha256, text)
            return replace(entry, caption=known[file.sha256])
        except ContentError as error:  # filtered, or nothing said: the others go on
            skipped[str(entry.path)] = str(error)
            return None
        finally:
            self.pictures.drop(file)

    @property
    def _path(self) -> Path:
        identity = hashlib.sha256(f"{self.name}\0{self.prompt.version}".encode()).hexdigest()[:16]
        return self.folder / f"captions-{identity}.jsonl"

    def _known(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        found = {}
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                found[record["sha256"]] = record["caption"]
            except (json.JSONDecodeError, KeyError):
                continue  # half a line, of a process that was killed: that caption is asked for again
        return found

    def _keep(self, digest: str, caption: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"sha256": digest, "caption": caption}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())


def opened(path: Path) -> bytes:
    """The bytes of a picture that opens whole. Raises InputError, which says why it does not."""
    try:
        data = path.read_bytes()
        with PIL.Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > PIXELS:
                raise InputError(f"has {picture.width} x {picture.height} pixels; at most {PIXELS:,} are taken")
            picture.load()
        return data
    except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"cannot be opened as a picture ({error})") from error
