"""New queries in the manner of seeds, a few a call, in one stream an iteration (SPORT, section 3.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field, field_validator

from sport.config import Synth
from sport.errors import FatalModelError
from sport.seeds import derive
from sport.synth import seeds as seeding
from sport.synth.near import Excluded, Known
from sport.synth.replies import Asker, Misread, as_json
from sport.synth.seeds import Kind, Seed
from sport.types import Sampling, ToolSpec

PATIENCE = 3  # calls in a row without one usable reply: then it is the model, and the run stops
MOST_FILES = 6


_OTHER_NAMES = {
    **dict.fromkeys(("jpg", "jpeg", "png", "picture", "photo", "photograph", "webp"), "image"),
    **{"excel": "xlsx", "spreadsheet": "xlsx", "word": "docx", "powerpoint": "pptx", "htm": "html", "text": "txt"},
}
"""What models call the kinds of files, too."""


class _Idea(BaseModel):
    query: str = Field(min_length=8, max_length=2000)
    files: tuple[Kind, ...] = Field(default=(), max_length=MOST_FILES)
    tools: tuple[str, ...] = ()

    @field_validator("files", mode="before")
    @classmethod
    def _usual_names(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        words = [str(one).lower().lstrip(".") for one in value]
        return tuple(_OTHER_NAMES.get(word, word) for word in words if word != "none")


class _Ideas(BaseModel):
    tasks: list[_Idea] = Field(min_length=1)


@dataclass(frozen=True)
class Query:
    """One query of the stream. ``dropped`` says why no task comes of it, None where one may."""

    text: str
    files: tuple[Kind, ...]
    tools: tuple[str, ...]
    call: int
    prompt: str
    dropped: str | None = None


@dataclass
class _Stream:
    """Of one iteration. ``call`` is the number of the next call, ``failed`` how many new ones in a row were no use.

    ``ended`` is what no further call could help with.
    """

    known: Known
    queries: list[Query] = field(default_factory=list)
    call: int = 0
    failed: int = 0
    ended: FatalModelError | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Queries:
    """Queries by (iteration, number): equal arguments give equal queries, as replies are kept by the journal.

    Args:
        settings: of synthesis.
        asker: of the model that writes.
        tools: told to it.
        seeds: shown to it, another choice at every call.
        excluded: what no query may come close to.
        earlier: queries of the iterations before this one.
        seed: of the run.
    """

    def __init__(
        self,
        settings: Synth,
        asker: Asker,
        *,
        tools: Sequence[ToolSpec],
        seeds: Sequence[Seed],
        excluded: Excluded,
        earlier: Callable[[int], Sequence[str]],
        seed: int,
    ) -> None:
        self._settings = settings
        self._asker = asker
        self._tools = tuple(tools)
        self._kinds = kinds(settings)
        usable = [one for one in seeds if set(one.files) <= set(self._kinds)]
        self._seeds = usable or list(seeds)
        self._excluded = excluded
        self._earlier = earlier
        self._seed = seed
        self._streams: dict[int, _Stream] = {}

    async def get(self, iteration: int, number: int) -> Query:
        """The query with this number.

        Raises:
            FatalModelError: the model's replies are of no use, or no further try can help.
        """
        stream = self._stream(iteration)
        async with stream.lock:
            while len(stream.queries) <= number:
                if stream.ended is not None:
                    raise stream.ended
                try:
                    await self._more(iteration, stream)
                except FatalModelError as error:
                    stream.ended = error  # whoever waits for a later query need not ask again
                    raise
        return stream.queries[number]

    def _stream(self, iteration: int) -> _Stream:
        if iteration not in self._streams:
            known = Known(self._settings.duplicate)
            for text in (*(one.query for one in self._seeds), *self._earlier(iteration)):
                known.add(text)
            self._streams = {iteration: _Stream(known)}  # the ones before are done with
        return self._streams[iteration]

    async def _more(self, iteration: int, stream: _Stream) -> None:
        """One call; a reply that cannot be used is passed over, and replayed ones do not count against the model."""
        call, stream.call = stream.call, stream.call + 1
        values = {
            "tools": self._tools,
            "examples": seeding.sample(
                self._seeds, self._settings.seeds.examples, derive(self._seed, "synth", "seeds", iteration, call)
            ),
            "n": self._settings.queries_per_call,
            "kinds": self._kinds,
        }
        sampling = Sampling(
            temperature=self._settings.temperature,
            max_new_tokens=self._settings.max_new_tokens,
            seed=derive(self._seed, "synth", "queries", iteration, call),
        )
        try:
            reply = await self._asker.ask("queries", values, as_json(_Ideas), sampling)
        except Misread as error:
            stream.failed += error.fresh
            if stream.failed >= PATIENCE:
                raise FatalModelError(f"synth.endpoint: {error} ({stream.failed} calls in a row)") from error
            return
        stream.failed = 0
        prompt = self._asker.prompts["queries"].version
        for idea in reply.value.tasks[: self._settings.queries_per_call]:
            dropped = self._unfit(idea, stream)
            if dropped is None:
                stream.known.add(idea.query)
            stream.queries.append(Query(idea.query.strip(), idea.files, idea.tools, call, prompt, dropped))

    def _unfit(self, idea: _Idea, stream: _Stream) -> str | None:
        if close := self._excluded.close(idea.query):
            return f'benchmark: close to item {close.item} of "{close.source}"'
        if like := stream.known.like(idea.query):
            return f'near-duplicate: of "{like[0]}"'
        if strange := sorted(set(idea.files) - set(self._kinds)):
            return f'files: none of kind "{strange[0]}" can be made here'
        return None


def kinds(settings: Synth) -> tuple[Kind, ...]:
    """The kinds of files that these settings can provide, pictures first."""
    return (*(("image",) if settings.images.sources else ()), *settings.documents.kinds)
