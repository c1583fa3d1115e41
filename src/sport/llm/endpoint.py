"""A model behind the OpenAI chat protocol as an engine: vLLM, a cloud provider, ``transformers serve`` and their like.

One retry layer, here; the client library's own is off. A call that fails for good ends the run (it can be resumed),
one conversation, or nothing at all, as ``faults`` says.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from sport.config import Endpoint
from sport.errors import CheckpointError, ContentError, FatalModelError
from sport.llm import chat
from sport.llm.base import LLM
from sport.llm.calls import Calls
from sport.llm.faults import FEWER, OneAtATime
from sport.llm.ledger import Ledger
from sport.seeds import derive
from sport.types import Message, ReadFile, Sample, Sampling

ROUNDS = 4  # how often candidates that did not come are asked for


class EndpointLLM(LLM):
    """Samples from one model on one or several servers.

    Candidates of one temperature are asked for in one call. Those that do not come (servers that ignore ``n``, choices
    without a text) are asked for again, one a call where the server knows no ``n``; a seed that is sent follows from
    (seed, candidate), so that equal servers give equal texts as far as they honour seeds at all. What a server does
    with a seed is its own affair, and ``top_k``, which the protocol lacks, is sent only where it is set.

    ``source`` of a sample is the model's name as the server gave it, and the server. Log-probabilities are the server's
    own: after temperature or before it, with the end of turn or without, they differ between servers. A text cut at the
    token limit is not finished.

    Args:
        settings: of the endpoint.
        where: their place in the configuration, for messages ("controller.endpoint").
        read: bytes of pictures.
        ledger: counts what is charged.
        environment: where the key is looked up; it is kept in memory only.

    Raises:
        ConfigError: see :func:`sport.llm.servers.check` and :func:`sport.llm.servers.key`.
    """

    def __init__(
        self,
        settings: Endpoint,
        where: str,
        read: ReadFile,
        ledger: Ledger,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._where = where
        self._read = read
        self._ledger = ledger
        self._calls = Calls(settings, where, ledger, environment)
        self._alone = False  # the server has shown that it knows no n

    def lane(self) -> AbstractAsyncContextManager[None]:
        """See :meth:`LLM.lane`. Connections stay open as long as any lane is."""
        return self._calls.open()

    async def use(self, adapter: Path | None) -> None:
        """Only None: adapters are loaded where the model lies. Raises CheckpointError."""
        if adapter is not None:
            raise CheckpointError(f"{adapter}: a model behind {self._where} takes no adapter from this machine")

    async def sample(self, messages: Sequence[Message], n: int, sampling: Sampling) -> list[Sample]:
        """See :meth:`LLM.sample`.

        Raises:
            BudgetError: nothing is left to spend.
            ValueError: fewer ``temperatures`` than candidates.
        """
        if sampling.temperatures is not None and len(sampling.temperatures) < n:
            raise ValueError(f"{len(sampling.temperatures)} temperatures for n={n}")
        if chat.pictured(messages):
            content = await asyncio.to_thread(chat.messages, messages, self._read)
        else:
            content = chat.messages(messages, self._read)  # a thread would cost more than the texts
        found: dict[int, Sample] = {}
        led: Counter[int] = Counter()  # calls that began with a candidate
        async with self._calls.open():
            for _ in range(ROUNDS):
                groups = self._groups([i for i in range(n) if i not in found], sampling)
                for group, some in zip(groups, await self._all(content, groups, sampling, led), strict=True):
                    found.update(zip(group, some, strict=False))  # fewer may have come than were asked for
                if len(found) == n:
                    return [found[i] for i in range(n)]
        raise ContentError(f"{self._where}: asked {ROUNDS} times for {n} texts, {len(found)} came")

    # ------------------------------------------------------------------------------------------ calls

    def _groups(self, missing: Sequence[int], sampling: Sampling) -> list[tuple[int, ...]]:
        """Candidates that one call can ask for: equal temperature, or one by one."""
        if self._alone:
            return [(i,) for i in missing]
        by: dict[float, list[int]] = {}
        for i in missing:
            by.setdefault(_temperature(sampling, i), []).append(i)
        return [tuple(group) for group in by.values()]

    async def _all(
        self, content: list[dict[str, Any]], groups: Sequence[tuple[int, ...]], sampling: Sampling, led: Counter[int]
    ) -> list[list[Sample]]:
        """One call a group, at once; the first error ends the others and is raised as itself."""
        try:
            async with asyncio.TaskGroup() as tasks:
                made = []
                for group in groups:
                    request = self._request(content, group, sampling, led[group[0]])
                    led[group[0]] += 1
                    made.append(tasks.create_task(self._call(request)))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in made]

    def _request(
        self, content: list[dict[str, Any]], group: tuple[int, ...], sampling: Sampling, turn: int
    ) -> dict[str, Any]:
        first, settings = group[0], self._settings
        seed = sampling.seed if first == turn == 0 else derive(sampling.seed, first, turn)
        request: dict[str, Any] = {
            "model": settings.model,
            "messages": content,
            settings.limit_name: sampling.max_new_tokens,
            "temperature": _temperature(sampling, first),
            "top_p": sampling.top_p,
            "seed": seed & 0x7FFFFFFF,  # some servers take no more than 32 bits
        }
        if len(group) > 1:
            request["n"] = len(group)
        if sampling.stop:
            request["stop"] = list(sampling.stop)
        if settings.logprobs:
            request["logprobs"] = True
        if sampling.top_k is not None:
            request["top_k"] = sampling.top_k
        return {name: value for name, value in request.items() if name not in settings.leave_out}

    async def _call(self, request: dict[str, Any]) -> list[Sample]:
        """One call with all its tries: at most as many samples as were asked for, none where n is refused."""
        wanted = request.get("n", 1)
        try:
            reply, url = await self._calls.make(
                # not completions.create: it walks through the request by its type hints, 5 ms of processor a call
                lambda client: client.post("/chat/completions", cast_to=str, body=request),
                chat.Reply,
            )
        except OneAtATime as refused:
            if wanted == 1:
                raise FatalModelError(str(refused)) from None
            self._alone = True
            return []
        if len(reply.choices) == 1 < wanted:
            self._alone = True
        choices = sorted(filter(chat.usable, reply.choices), key=lambda choice: choice.index)[:wanted]
        if len(choices) < wanted:
            self._ledger.fault(FEWER)
        return chat.samples(reply, choices, f"{reply.model or self._settings.model}@{url}")


def _temperature(sampling: Sampling, candidate: int) -> float:
    return sampling.temperature if sampling.temperatures is None else sampling.temperatures[candidate]
