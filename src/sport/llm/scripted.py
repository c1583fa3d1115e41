"""The twin of a model: it says what a script says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sport.errors import CheckpointError
from sport.llm.base import LLM
from sport.types import Message, Sample, Sampling, Usage

Reply = str | Sample
Script = Callable[[Sequence[Message], int, Sampling], Sequence[Reply]]
Book = Mapping[str, Sequence[Sequence[Reply]]]
"""By a piece of the task's words: for every step the texts of its candidates, repeated when there are fewer than n."""


@dataclass(frozen=True)
class Asked:
    """One call of :meth:`ScriptedLLM.sample`, with the adapter that was in use."""

    messages: tuple[Message, ...]
    n: int
    sampling: Sampling
    adapter: Path | None


class ScriptedLLM(LLM):
    """Answers from a function, or from a :data:`Book`.

    ``failures`` are raised by the first calls, one each (None: that call succeeds). ``delay_s`` is slept before every
    answer. ``remember`` keeps every call in ``calls``. A script that has nothing to say is a mistake of the test: a
    LookupError, which no stage catches.
    """

    def __init__(
        self,
        script: Script | Book,
        *,
        failures: Sequence[Exception | None] = (),
        delay_s: float = 0.0,
        remember: bool = True,
    ) -> None:
        self._remember = remember
        self._script = script if callable(script) else _from_book(script)
        self._failures = list(failures)
        self._delay_s = delay_s
        self.calls: list[Asked] = []
        self.adapter: Path | None = None
        self.open_lanes = 0

    async def sample(self, messages: Sequence[Message], n: int, sampling: Sampling) -> list[Sample]:
        """See :meth:`LLM.sample`. Words are counted in place of tokens."""
        if self._remember:
            self.calls.append(Asked(tuple(messages), n, sampling, self.adapter))
        failure = self._failures.pop(0) if self._failures else None
        await asyncio.sleep(self._delay_s)
        if failure is not None:
            raise failure
        replies = self._script(messages, n, sampling)
        if len(replies) != n:
            raise LookupError(f"the script has {len(replies)} texts for n={n}")
        prompt = sum(len(message.text.split()) for message in messages)
        return [_sample(reply, prompt if i == 0 else 0) for i, reply in enumerate(replies)]

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[None]:
        """Counted in ``open_lanes``, nothing else."""
        self.open_lanes += 1
        try:
            yield
        finally:
            self.open_lanes -= 1

    async def use(self, adapter: Path | None) -> None:
        """Remember the adapter, which must be a directory; it changes no answer unless the script looks."""
        if adapter is not None and not adapter.is_dir():
            raise CheckpointError(f"{adapter}: no such directory; expected a PEFT adapter (adapter_config.json)")
        self.adapter = adapter


def lines(texts: Sequence[Sequence[str]]) -> Script:
    """A script for any task: a line of texts for every step, the last one from then on.

    Which of a line's texts candidate i says is a function of (seed, i), so that tasks differ and order does not matter.
    """

    def script(messages: Sequence[Message], n: int, sampling: Sampling) -> list[Reply]:
        step = sum(message.role == "assistant" for message in messages)
        line = texts[min(step, len(texts) - 1)]
        return [line[(sampling.seed + i) % len(line)] for i in range(n)]

    return script


def _sample(reply: Reply, prompt_tokens: int) -> Sample:
    if isinstance(reply, Sample):
        return reply
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=len(reply.split()))
    return Sample(text=reply, usage=usage, source="scripted")


def _from_book(book: Book) -> Script:
    def script(messages: Sequence[Message], n: int, sampling: Sampling) -> list[Reply]:
        words = next((message.text for message in messages if message.role == "user"), "")
        step = sum(message.role == "assistant" for message in messages)
        steps = next((steps for piece, steps in book.items() if piece in words), None)
        if steps is None or step >= len(steps):
            raise LookupError(f"no script for step {step} of {words!r}")
        return [steps[step][i % len(steps[step])] for i in range(n)]

    return script
