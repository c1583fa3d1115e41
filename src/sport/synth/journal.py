"""Paid calls by what was asked: a run that goes on replays them and pays for none of them again."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sport.errors import FatalModelError, TransientModelError
from sport.llm.base import LLM
from sport.synth.base import Memory
from sport.types import Json, Message, Sample, Sampling, Text

T = TypeVar("T")


@dataclass(frozen=True)
class Told:
    """What a model said. ``fresh`` is False when an earlier attempt at this run was told it."""

    text: str
    finished: bool
    fresh: bool


class Journal:
    """Asks a model for one text at a time, and keeps every reply with its question.

    The question is durable before it is asked and the reply before it is used. A question whose reply never came (the
    process was killed) is asked again; ``times`` in its record then says that it may have been paid for twice. Records
    are those of one run: its configuration, and so its model, never change.

    Args:
        llm: the model.
        memory: where records are kept.
        role: whose calls these are; roles have records of their own.
    """

    def __init__(self, llm: LLM, memory: Memory, role: str) -> None:
        self._llm = llm
        self._memory = memory
        self._role = role

    async def text(self, messages: Sequence[Message], sampling: Sampling, prompt: str) -> Told:
        """The reply; ``prompt`` is the version of the template that ``messages`` came from.

        Raises:
            FatalModelError: also where the server did not answer after all tries, twice.
            ContentError: the conversation is refused.
        """
        question = {"messages": [_plain(message) for message in messages], "sampling": sampling.model_dump(mode="json")}
        digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
        key = f"synth {self._role} {digest}"
        before = json.loads(self._memory.get(key) or "{}")
        if "reply" in before:
            sample = Sample.model_validate(before["reply"])
            return Told(sample.text, sample.finished, fresh=False)
        record = {"prompt": prompt, "times": before.get("times", 0) + 1, **question}
        self._keep(key, record)
        [sample] = await patiently(lambda: self._llm.sample(messages, 1, sampling))
        self._keep(key, {**record, "reply": sample.model_dump(mode="json")})
        return Told(sample.text, sample.finished, fresh=True)

    def _keep(self, key: str, record: Json) -> None:
        self._memory.put(key, json.dumps(record))
        self._memory.flush()


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask; after a passing failure (with all its tries) once more.

    Raises:
        FatalModelError: the second time failed, too: the run stops and can go on later.
    """
    try:
        return await ask()
    except TransientModelError:
        pass  # once more, after whatever else was waiting
    try:
        return await ask()
    except TransientModelError as error:
        raise FatalModelError(f"{error}; nothing is lost, the run can go on later") from error


async def settled(works: Iterable[Awaitable[T]]) -> list[T]:
    """All at once. After an error the others still run to their end, for what is paid shall be kept; then it is raised.

    Raises:
        BaseException: the first error in the order of ``works``.
    """
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _plain(message: Message) -> Json:
    """A message with its pictures by content: names do not matter."""
    parts = [part.text if isinstance(part, Text) else {"image": part.file.sha256} for part in message.parts]
    return {"role": message.role, "parts": parts}
