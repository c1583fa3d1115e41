"""Several servers of one model: whom to ask next, and clients that live as long as somebody may ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import openai

from sport.config import Endpoint
from sport.errors import ConfigError

REST_S = 20.0  # a server that failed is asked last for so long


@dataclass
class Server:
    """One base URL. ``busy`` are calls under way; until ``rests`` (of time.monotonic) others come first."""

    url: str
    busy: int = 0
    rests: float = 0.0
    client: openai.AsyncOpenAI | None = None

    def rest(self) -> None:
        """It failed: the others first, for a while."""
        self.rests = time.monotonic() + REST_S


def check(settings: Endpoint, where: str) -> None:
    """What can be found wrong with an endpoint's settings without asking it or looking at the environment.

    Raises:
        ConfigError: no server, no model, a URL that is none or holds a password, a budget of money without prices.
    """
    if not settings.base_urls:
        raise ConfigError(f'{where}.base_urls: name at least one server, for example ["http://127.0.0.1:8000/v1"]')
    if not settings.model:
        raise ConfigError(f"{where}.model: name the model as its server does; sport doctor CONFIG lists what it has")
    for url in settings.base_urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{where}.base_urls: {url!r} is no http(s) URL; it usually ends in /v1")
        if parts.username or parts.password or parts.query:
            raise ConfigError(
                f"{where}.base_urls: the URL of {parts.hostname} holds a password or a query; keys come from the "
                f"environment variable that {where}.key_env names"
            )
    if settings.max_cost is not None and (settings.price_in is None or settings.price_out is None):
        raise ConfigError(f"{where}.max_cost: needs {where}.price_in and price_out, per million tokens")


def key(settings: Endpoint, where: str, environment: Mapping[str, str]) -> str:
    """The key, "" where none is configured.

    Raises:
        ConfigError: the variable that should hold it is empty or not set.
    """
    if settings.key_env is None:
        return ""
    found = environment.get(settings.key_env, "").strip()
    if not found:
        raise ConfigError(f"{where}.key_env: the environment variable {settings.key_env} is not set; export it first")
    return found


def client(url: str, key: str, timeout_s: float) -> openai.AsyncOpenAI:
    """A client that tries once: waiting and trying again is ours."""
    return openai.AsyncOpenAI(base_url=url, api_key=key or "none", max_retries=0, timeout=timeout_s)


class Servers:
    """The least busy first; of equally busy ones the one that was asked longest ago; those that failed lately last."""

    def __init__(self, settings: Endpoint, key: str) -> None:
        self._settings = settings
        self._key = key
        self._all = [Server(url.rstrip("/")) for url in settings.base_urls]
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._users = 0

    @property
    def all(self) -> Sequence[Server]:
        """Every server, the one that was asked longest ago first."""
        return tuple(self._all)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connections are kept from the first entry to the last exit; entering again is cheap."""
        if self._users == 0:
            self._slots = asyncio.Semaphore(self._settings.concurrency)  # of this event loop
            for server in self._all:
                server.client = client(server.url, self._key, self._settings.timeout_s)
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                old = [server.client for server in self._all if server.client is not None]
                for server in self._all:
                    server.client = None
                for one in old:
                    await one.close()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until there is room for one more call."""
        async with self._slots:
            yield

    @contextmanager
    def next(self) -> Iterator[tuple[Server, openai.AsyncOpenAI]]:
        """The server to ask now, busy while the block lasts. Only inside :meth:`open`."""
        now = time.monotonic()
        server = min(self._all, key=lambda one: (max(0.0, one.rests - now), one.busy))
        self._all.remove(server)
        self._all.append(server)
        assert server.client is not None
        server.busy += 1
        try:
            yield server, server.client
        finally:
            server.busy -= 1
