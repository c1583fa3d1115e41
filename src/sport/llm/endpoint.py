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

import openai
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from sport.config import Endpoint
from sport.errors import CheckpointError, ContentError, FatalModelError, ModelError
from sport.llm import chat
from sport.llm.base import LLM
from sport.llm.faults import FEWER, Again, Faults, OneAtATime, cause
from sport.llm.ledger import Ledger
from sport.llm.servers import Servers, check, key
from sport.seeds import derive
from sport.types import Message, ReadFile, Sample, Sampling

ROUNDS = 4  # how often candidates that did not come are asked for
PATIENCE = 5  # calls in a row that fail after all tries: then it is not the conversation, and the run stops


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
        check(settings, where)
        secret = key(settings, where, environment)
        self._settings = settings
        self._where = where
        self._read = read
        self._ledger = ledger
        self._servers = Servers(settings, secret)
        self._faults = Faults(where, settings, secret)
        self._wait = wait_random_exponential(multiplier=0.5, max=settings.max_wait_s)
        self._alone = False  # the server has shown that it knows no n
        self._failed = 0

    def lane(self) -> AbstractAsyncContextManager[None]:
        """See :meth:`LLM.lane`. Connections stay open as long as any lane is."""
        return self._servers.open()

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
        content = await asyncio.to_thread(chat.messages, messages, self._read)
        found: dict[int, Sample] = {}
        led: Counter[int] = Counter()  # calls that began with a candidate
        async with self._servers.open():
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
            async with self._servers.slot():
                reply, source = await self._tried(request)
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
        return chat.samples(reply, choices, source)

    async def _tried(self, request: dict[str, Any]) -> tuple[chat.Reply, str]:
        until = asyncio.get_running_loop().time() + self._settings.deadline_s
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Again),
            wait=self._pause,
            stop=stop_after_attempt(self._settings.tries) | stop_before_delay(self._settings.deadline_s),
            reraise=True,
        )
        try:
            reply: tuple[chat.Reply, str] = await retrying(self._once, request, until)
        except Again as again:
            self._failed += 1
            if self._failed >= PATIENCE:
                raise FatalModelError(f"{again.error} ({self._failed} calls in a row)") from None
            raise again.error from None
        self._failed = 0
        return reply

    def _pause(self, state: RetryCallState) -> float:
        """Seconds to wait before the next try: the server's wish, else more and more; never above the cap."""
        error = state.outcome.exception() if state.outcome else None
        after = error.after if isinstance(error, Again) else None
        return min(self._wait(state) if after is None else after, self._settings.max_wait_s)

    async def _once(self, request: dict[str, Any], until: float) -> tuple[chat.Reply, str]:
        """One try. What it may have cost is counted, also when no answer comes."""
        self._ledger.allow()
        limit = min(self._settings.timeout_s, max(0.0, until - asyncio.get_running_loop().time()))
        with self._servers.next() as (server, client):
            try:
                async with asyncio.timeout(limit):
                    # not completions.create: it walks through the request by its type hints, 5 ms of processor a call
                    text = await client.post("/chat/completions", cast_to=str, body=request)
            except asyncio.CancelledError:
                self._ledger.unknown()
                raise
            except (openai.OpenAIError, OSError, TimeoutError) as error:
                fault = self._faults.of(error, server.url)
                self._ledger.fault(cause(error))
                if isinstance(fault, Again):
                    server.rest()
                if not isinstance(error, openai.APIStatusError) and not _never_sent(fault):
                    self._ledger.unknown()
                raise fault from None
            try:
                reply = self._faults.read(text, server.url)
            except (Again, ModelError) as error:
                self._ledger.fault(cause(error))
                if isinstance(error, Again):
                    self._ledger.unknown()
                raise
        self._ledger.charge(reply.charged())
        return reply, f"{reply.model or self._settings.model}@{server.url}"


def _never_sent(fault: Exception) -> bool:
    """Nobody took the call, so nobody charges for it."""
    return isinstance(fault, Again) and isinstance(fault.error, FatalModelError)


def _temperature(sampling: Sampling, candidate: int) -> float:
    return sampling.temperature if sampling.temperatures is None else sampling.temperatures[candidate]
