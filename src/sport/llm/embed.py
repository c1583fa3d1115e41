"""Texts as vectors: an ``/v1/embeddings`` endpoint, or sentence-transformers on this machine (extra ``embed``)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from sport.config import Endpoint
from sport.errors import CheckpointError, ConfigError, ContentError
from sport.llm.calls import Calls
from sport.llm.chat import Priced
from sport.llm.ledger import Ledger

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]
"""(n, width), every row of length 1, so that a dot product is a cosine."""


class _Row(BaseModel):
    index: int = 0
    embedding: list[float] = Field(min_length=1)


class _Embeddings(Priced):
    data: list[_Row]


class EndpointEmbedder:
    """Vectors from a server.

    Args:
        settings: of the endpoint.
        where: their place in the configuration, for messages.
        ledger: counts what is charged.
        environment: where the key is looked up.

    Raises:
        ConfigError: see :class:`~sport.llm.calls.Calls`.
    """

    def __init__(
        self, settings: Endpoint, where: str, ledger: Ledger, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._where = where
        self._calls = Calls(settings, where, ledger, environment)

    @property
    def name(self) -> str:
        """Vectors of equal names may be compared."""
        return self._settings.model

    def lane(self) -> AbstractAsyncContextManager[None]:
        """Connections stay open as long as anybody is inside."""
        return self._calls.open()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text, in order; one call. Raises ModelError."""
        async with self._calls.open():
            reply, url = await self._calls.make(
                lambda client: client.embeddings.with_raw_response.create(
                    model=self._settings.model, input=list(texts), encoding_format="float"
                ),
                _Embeddings,
            )
        rows = [row.embedding for row in sorted(reply.data, key=lambda row: row.index)]
        if len(rows) != len(texts) or len({len(row) for row in rows}) > 1:
            raise ContentError(f"{self._where}: {url}: {len(rows)} vectors came for {len(texts)} texts")
        return unit(np.asarray(rows, np.float32))


class LocalEmbedder:
    """Vectors from a sentence-transformers model: a directory, or a name that its library knows where to get.

    Raises:
        ConfigError: the library is not installed.
        CheckpointError: no such model.
    """

    def __init__(self, model: str, device: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ConfigError(
                'synth.images.embedding.kind = "local" needs sentence-transformers: pip install "sport[embed]"'
            ) from error
        self.name = model
        try:
            self._model: SentenceTransformer = SentenceTransformer(model, device=device)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{model}: cannot be loaded by sentence-transformers ({error})") from error

    def lane(self) -> AbstractAsyncContextManager[None]:
        """Nothing to keep open."""
        return nullcontext()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text, in order."""
        rows: Any = await asyncio.to_thread(self._model.encode, list(texts), show_progress_bar=False)
        return unit(np.asarray(rows, np.float32))


def unit(rows: Vectors) -> Vectors:
    """Rows of length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    made: Vectors = rows / np.where(lengths == 0, 1, lengths)
    return made
