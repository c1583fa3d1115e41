"""Tasks by a language model: a query, what its files must show, then the files (SPORT, section 3.2; T3, section 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

from sport.errors import ContentError
from sport.seeds import derive
from sport.synth.base import Draft, Illustrator
from sport.synth.documents import Documents, Wish
from sport.synth.replies import Asker, Read, Unusable, as_json
from sport.synth.tasks import Queries, Query
from sport.types import Json, Sampling


class _Content(BaseModel):
    kind: str
    name: str = ""
    shows: str = Field(min_length=8)


class _Contents(BaseModel):
    files: list[_Content]


class _Unfound(Exception):
    """A file that cannot be had; the message says why."""


@dataclass(frozen=True)
class Author:
    """A :class:`~sport.synth.base.Writer`. Whatever it pays for is kept by the asker's journal.

    A task whose files cannot all be had is a draft that says why it is dropped; nothing is put in their place.
    ``illustrators`` are asked in order.
    """

    queries: Queries
    asker: Asker
    illustrators: Sequence[Illustrator]
    documents: Documents
    max_new_tokens: int
    seed: int

    async def write(self, iteration: int, ordinal: int) -> Draft:
        """The draft with this number.

        Raises:
            FatalModelError: no further try can help.
            SandboxError: the sandbox broke.
        """
        query = await self.queries.get(iteration, ordinal)
        notes: dict[str, Json] = {
            "call": query.call, "tools": list(query.tools), "wanted": list(query.files),
            "prompts": {"queries": query.prompt}, "files": [],
        }  # fmt: skip
        files: dict[str, bytes] = {}
        dropped = query.dropped
        if dropped is None and query.files:
            try:
                await self._files(query, iteration, ordinal, files, notes)
            except (_Unfound, ContentError) as error:
                files, dropped = {}, f'files: "{_quotable(str(error))}"'
        name = f"llm-{iteration:02d}-{ordinal:05d}"
        return Draft(name, query.text, files, None, origin="llm", dropped=dropped, notes=notes)

    async def _files(
        self, query: Query, iteration: int, ordinal: int, files: dict[str, bytes], notes: dict[str, Json]
    ) -> None:
        """Fill ``files`` and ``notes``. Raises _Unfound, ContentError."""
        seed = derive(self.seed, "synth", "files", iteration, ordinal)
        sampling = Sampling(temperature=0.7, max_new_tokens=self.max_new_tokens, seed=seed)
        values = {"query": query.text, "files": query.files, "pictures": "image" in query.files}
        wishes = (await self.asker.ask("contents", values, _wishes(query), sampling)).value
        notes["prompts"]["contents"] = self.asker.prompts["contents"].version
        for place, wish in enumerate(wishes):
            note: dict[str, Json] = {"kind": wish.kind, "shows": wish.shows}
            notes["files"].append(note)
            own = derive(seed, place)
            if wish.kind == "image":
                data, ending, found = await self._picture(wish.shows, own, note)
                number = sum(one.kind == "image" for one in wishes[: place + 1])
                name = f"image_{number}{ending}"
                note.update(found)
            else:
                others = [other for other in wishes if other is not wish]
                box = f"synth-{iteration}-{ordinal}-{place}"
                made = await self.documents.make(query.text, wish, others, box=box, seed=own)
                data, name = made.data, wish.name
                note.update({"program": made.program, "mended": made.mended})
                notes["prompts"]["document"] = made.prompt
            note["name"] = name
            files[name] = data

    async def _picture(self, shows: str, seed: int, note: dict[str, Json]) -> tuple[bytes, str, Mapping[str, Json]]:
        tried = []
        for illustrator in self.illustrators:
            found = await illustrator.find(shows, seed)
            if found.data is not None:
                return found.data, found.ending, found.notes
            tried.append(dict(found.notes))
        note["tried"] = tried
        whys = "; ".join(f"{one['source']}: {one['why']}" for one in tried)
        raise _Unfound(f"no picture ({whys})")


def _wishes(query: Query) -> Read[list[Wish]]:
    """Reads what files must show: as many as the query has, of the same kinds, under distinct plain names."""
    shape = as_json(_Contents)

    async def read(text: str) -> list[Wish]:
        contents = (await shape(text)).files
        if len(contents) != len(query.files):
            raise Unusable(f"files: {len(contents)} entries, expected {len(query.files)} ({', '.join(query.files)})")
        taken: set[str] = set()
        return [
            Wish(kind, _name(content.name, kind, place, taken), content.shows)
            for place, (kind, content) in enumerate(zip(query.files, contents, strict=True), 1)
        ]

    return read


def _name(wished: str, kind: str, place: int, taken: set[str]) -> str:
    """A plain file name with the ending of its kind, unlike those in ``taken``, to which it is added."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", wished.rpartition("/")[2].rpartition(".")[0]).strip("_-")[:40]
    stem = stem or f"file_{place}"
    name = f"{stem}.{kind}"
    if name.lower() in taken:
        name = f"{stem}_{place}.{kind}"
    taken.add(name.lower())
    return name


def _quotable(text: str) -> str:
    return " ".join(text.replace('"', "'").split())
