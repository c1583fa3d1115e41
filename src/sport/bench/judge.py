"""A language model's word on answers: whether one says the same as the wanted one, or what it is in GAIA's form.

Both are asked once for every (model, words) and kept in the run's cache: an evaluation that was stopped pays for none
of them again, one that was killed for the last 31 at most. A reply that cannot be read is asked for once more; then the
answer stays unscored, which is not wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Protocol, TypeVar

import jinja2

from sport.errors import ContentError, TransientModelError, boundary
from sport.llm.base import LLM
from sport.types import Message, Sampling, Text

T = TypeVar("T")


class Kept(Protocol):
    """Texts by key, on disk."""

    def get(self, key: str) -> str | None:
        """The text, or None."""
        ...

    def put(self, key: str, value: str) -> None:
        """Keep it."""
        ...


class Asking:
    """One kind of question to a model: a prompt of ``prompts/bench/`` and a reader of replies.

    Args:
        llm: who is asked, greedily.
        name: of the model, as far as it is known: part of what an answer is kept under.
        kept: where replies are kept.
        max_new_tokens: of a reply.
    """

    def __init__(self, llm: LLM, name: str, kept: Kept, max_new_tokens: int = 256) -> None:
        self._llm = llm
        self._name = name
        self._kept = kept
        self._limit = max_new_tokens

    async def same(self, query: str, wanted: str, answer: str) -> bool | None:
        """Whether ``answer`` says the same as ``wanted``; None when the judge comes to no verdict."""
        prompt = _prompt("judge", query=query, wanted=wanted, answer=answer)
        reply = await self._ask(prompt, lambda text: _verdict(text) is not None)
        return None if reply is None else _verdict(reply)

    async def restated(self, query: str, answer: str) -> str | None:
        """``answer`` in the form that GAIA asks for; None when the model says nothing."""
        reply = await self._ask(_prompt("normalise", query=query, answer=answer), lambda text: bool(text.strip()))
        return None if reply is None else reply.strip().removeprefix("FINAL ANSWER:").strip()

    async def _ask(self, prompt: str, sound: Callable[[str], bool]) -> str | None:
        key = hashlib.sha256(json.dumps(["asked", self._name, prompt]).encode()).hexdigest()
        if (known := self._kept.get(key)) is not None:
            return known
        for seed in (0, 1):
            sampling = Sampling(temperature=0.0, max_new_tokens=self._limit, seed=seed)
            with boundary("judge", TransientModelError, ContentError) as caught:
                message = Message(role="user", parts=(Text(text=prompt),))
                (sample,) = await self._llm.sample([message], 1, sampling)
            if caught.failure is None and sound(sample.text):
                self._kept.put(key, sample.text)
                return sample.text
        return None


async def each(ask: Callable[..., Awaitable[T]], cases: Sequence[Sequence[str]], in_flight: int) -> list[T]:
    """``ask(*case)`` of every case, so many at once; results in the order of the cases."""
    gate = asyncio.Semaphore(in_flight)

    async def one(case: Sequence[str]) -> T:
        async with gate:
            return await ask(*case)

    return list(await asyncio.gather(*(one(case) for case in cases)))


def _verdict(text: str) -> bool | None:
    """The word after the last "Verdict:"; None where there is none, or neither right nor wrong."""
    _, mark, rest = text.lower().rpartition("verdict:")
    words = rest.replace("*", " ").replace(".", " ").split()
    return {"right": True, "wrong": False}.get(words[0]) if mark and words else None


def _prompt(name: str, **words: str) -> str:
    text = (resources.files("sport") / "prompts" / "bench" / f"{name}.jinja").read_text(encoding="utf-8")
    return jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(text).render(**words)
