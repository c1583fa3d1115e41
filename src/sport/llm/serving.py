"""An adapter goes live on servers that run already: vLLM's runtime endpoints, or a command that restarts a server.

Every adapter gets a name of its own, made from its weights: a server that is given new weights under an old name may
answer from what it has cached for the old ones. The old adapter goes when the new one answers everywhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import openai
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from sport.config import Endpoint, Serving
from sport.errors import CheckpointError, FatalModelError, UnknownModelError
from sport.llm.base import LLM
from sport.llm.servers import client, key
from sport.types import Message, Sample, Sampling

Make = Callable[[Endpoint], LLM]
"""The engine of an endpoint with these settings."""

_LOADED = "already been loaded"  # vLLM's words for a name that it has
_LOOK_S = 1.0  # between two looks at a server that is starting
_CALL_S = 300.0  # for a server to load an adapter


def live_name(adapter: Path) -> str:
    """The name of an adapter on servers: the same for the same weights and settings, another for any other.

    Raises:
        CheckpointError: no adapter lies there.
    """
    digest = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        try:
            digest.update((adapter / name).read_bytes())
        except OSError as error:
            raise CheckpointError(
                f"{adapter / name}: cannot be read ({error.strerror}); expected an adapter"
            ) from error
    return f"sport-{digest.hexdigest()[:16]}"


class Live:
    """Makes the servers of an endpoint answer with an adapter: ``await live(adapter)`` is the engine that asks for it.

    Args:
        settings: of the endpoint; its ``model`` is the plain one.
        serving: how an adapter comes to its servers.
        where: the endpoint's place in the configuration, for messages.
        make: makes the engine.
        environment: where the key is looked up.

    Not covered: copying an adapter to a server's machine. Both must see it; ``serving.root`` is for paths that differ.
    """

    def __init__(
        self, settings: Endpoint, serving: Serving, where: str, make: Make, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._serving = serving
        self._where = where
        self._make = make
        self._key = key(settings, where, environment)
        self._now: str | None = None
        self._lock = asyncio.Lock()

    async def __call__(self, adapter: Path) -> LLM:
        """Load it everywhere, let the one before go, and return an engine that brings it back to a restarted server.

        Raises:
            FatalModelError: a server refuses it, or does not come back; the message says what to change.
            CheckpointError: no adapter lies there.
        """
        name = await asyncio.to_thread(live_name, adapter)
        await self.bring(name, adapter)
        before, self._now = self._now, name
        if before not in (None, name) and self._serving.how != "restart":
            for url in self._settings.base_urls:
                await self._unload(url, str(before))
        return LiveLLM(self._make(self._settings.model_copy(update={"model": name})), self, name, adapter)

    async def bring(self, name: str, adapter: Path) -> None:
        """Have every server know it. One that knows it already is left alone. Raises as :meth:`__call__`."""
        async with self._lock:
            if self._serving.how == "restart":
                return await self._restart(name, adapter)
            for url in self._settings.base_urls:
                await self._load(url, name, adapter)

    def there(self, adapter: Path) -> str:
        """An adapter's path as servers see it."""
        root = self._serving.root
        return str(adapter.absolute() if root is None else Path(root) / adapter.parent.name / adapter.name)

    async def _load(self, url: str, name: str, adapter: Path) -> None:
        body = {"lora_name": name, "lora_path": self.there(adapter)}
        try:
            await self._post(url, "load_lora_adapter", body)
        except openai.APIStatusError as error:
            if _LOADED not in _words(error):
                raise FatalModelError(self._why(url, adapter, error)) from None
        except openai.OpenAIError as error:
            raise FatalModelError(f"{self._where}: {url}: no adapter can be loaded ({error})") from None

    async def _unload(self, url: str, name: str) -> None:
        """Best effort: a server that was restarted has forgotten it, and one that keeps it only loses memory."""
        try:
            await self._post(url, "unload_lora_adapter", {"lora_name": name})
        except openai.OpenAIError:
            return

    async def _post(self, url: str, path: str, body: Mapping[str, str]) -> None:
        async with client(url, self._key, _CALL_S) as server:
            await server.post(f"/{path}", cast_to=str, body=body)

    def _why(self, url: str, adapter: Path, error: openai.APIStatusError) -> str:
        """What a server's refusal means, and what to do about it."""
        words = _words(error)
        said = f"{self._where}: {url}: {error.status_code}: the server does not take {self.there(adapter)}: {words}"
        if "max_lora_rank" in words or "rank" in words.lower().split():
            return f"{said}; start it with --max-lora-rank {_rank(adapter)} or more, or lower tune.rank"
        if error.status_code in (404, 405) and "adapter" not in words.lower():
            return (
                f"{said}; start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, or name a command "
                'that restarts it: controller.serving.how = "restart"'
            )
        return f"{said}; does the server see that path? controller.serving.root names it as the server does"

    async def _restart(self, name: str, adapter: Path) -> None:
        """Run the command, and wait until all servers list the name."""
        places = {"name": name, "adapter": self.there(adapter)}
        line = [word.format_map(places) for word in self._serving.command]
        done = await asyncio.to_thread(subprocess.run, line, capture_output=True, text=True)
        if done.returncode:
            raise FatalModelError(f"controller.serving.command: {line[0]} ended with {done.returncode}: {done.stderr}")
        for url in self._settings.base_urls:
            waiting = AsyncRetrying(
                retry=retry_if_exception_type((openai.OpenAIError, LookupError)),
                wait=wait_fixed(_LOOK_S),
                stop=stop_after_delay(self._serving.wait_s),
                reraise=True,
            )
            try:
                await waiting(self._listed, url, name)
            except (openai.OpenAIError, LookupError) as error:
                late = f"does not offer {name} {self._serving.wait_s:g} s after its restart"
                raise FatalModelError(f"{self._where}: {url}: {late} ({error})") from None

    async def _listed(self, url: str, name: str) -> None:
        async with client(url, self._key, _CALL_S) as server:
            known = [model.id async for model in server.models.list()]
        if name not in known:
            raise LookupError(f"it has {', '.join(known) or 'no models'}")


class LiveLLM(LLM):
    """An engine for an adapter that a server may forget: it is brought there again, once a call."""

    def __init__(self, engine: LLM, live: Live, name: str, adapter: Path) -> None:
        self._engine = engine
        self._live = live
        self._name = name
        self._adapter = adapter

    async def sample(self, messages: Sequence[Message], n: int, sampling: Sampling) -> list[Sample]:
        """See :meth:`LLM.sample`. A server that was restarted meanwhile is given the adapter again."""
        try:
            return await self._engine.sample(messages, n, sampling)
        except UnknownModelError:
            await self._live.bring(self._name, self._adapter)
        return await self._engine.sample(messages, n, sampling)

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[None]:
        """The engine's."""
        async with self._engine.lane():
            yield

    async def use(self, adapter: Path | None) -> None:
        """Not here: whoever changes the adapter makes another of these. Raises CheckpointError."""
        raise CheckpointError(f"{adapter}: this engine answers with {self._name}")


def _words(error: openai.APIStatusError) -> str:
    body = error.body
    inner = body.get("message", body) if isinstance(body, Mapping) else body
    return str(inner or error.message)


def _rank(adapter: Path) -> int | str:
    """The rank that a server must allow."""
    try:
        return int(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError):
        return "its rank"
