"""Pictures from words: an ``/v1/images/generations`` endpoint."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from sport.config import SynthImages
from sport.errors import ContentError
from sport.llm.calls import Calls
from sport.llm.chat import Charged, Priced
from sport.llm.ledger import Ledger


class _Tokens(Charged):
    """As the images protocol calls them."""

    prompt_tokens: int = Field(default=0, alias="input_tokens")
    completion_tokens: int = Field(default=0, alias="output_tokens")


class OnePicture(BaseModel):
    """One of them: its bytes, or an address."""

    b64_json: str | None = None
    url: str | None = None


class Pictures(Priced):
    """What an images endpoint replies."""

    data: list[OnePicture] = Field(min_length=1)
    usage: _Tokens | None = None


class EndpointPainter:
    """One picture a call, as bytes inside the reply. A server that only gives addresses is refused: we fetch nothing.

    Many such servers report no usage: their calls are counted, and no budget can be kept.

    Raises:
        ConfigError: see :class:`~sport.llm.calls.Calls`.
    """

    def __init__(
        self, settings: SynthImages, where: str, ledger: Ledger, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._where = where
        self._calls = Calls(settings.endpoint, where, ledger, environment)

    @property
    def name(self) -> str:
        """Of the model."""
        return self._settings.endpoint.model

    async def paint(self, words: str, seed: int) -> bytes:
        """The bytes of a picture; the protocol has no seed. Raises ModelError."""
        request: dict[str, Any] = {"model": self.name, "prompt": words, "n": 1, "size": self._settings.size}
        if self._settings.ask_base64:
            request["response_format"] = "b64_json"
        async with self._calls.open():
            reply, url = await self._calls.make(
                lambda client: client.images.with_raw_response.generate(**request), Pictures
            )
        data = reply.data[0].b64_json
        try:
            return base64.b64decode(data or "", validate=True) if data else self._refuse(url)
        except binascii.Error as error:
            raise ContentError(f"{self._where}: {url}: the picture is not base64 ({error})") from error

    def _refuse(self, url: str) -> bytes:
        raise ContentError(
            f"{self._where}: {url}: an address came in place of a picture; set synth.images.ask_base64 = true"
        )
