"""Pictures changed by words: an ``/v1/images/edits`` endpoint."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping

from sport.config import Endpoint
from sport.errors import ContentError
from sport.llm.calls import Calls
from sport.llm.images import Pictures
from sport.llm.ledger import Ledger


class EndpointEditor:
    """One picture in, one out, as bytes inside the reply.

    Raises:
        ConfigError: see :class:`~sport.llm.calls.Calls`.
    """

    def __init__(
        self, settings: Endpoint, where: str, ledger: Ledger, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._model = settings.model
        self._where = where
        self._calls = Calls(settings, where, ledger, environment)

    async def edit(self, words: str, data: bytes, media_type: str) -> bytes:
        """The bytes of the new picture. Raises ModelError."""
        ending = media_type.partition("/")[2] or "png"
        async with self._calls.open():
            reply, url = await self._calls.make(
                lambda client: client.images.with_raw_response.edit(
                    model=self._model, prompt=words, image=(f"image.{ending}", data, media_type)
                ),
                Pictures,
            )
        coded = reply.data[0].b64_json
        if not coded:
            raise ContentError(f"{self._where}: {url}: the server answered without a picture in base64")
        try:
            return base64.b64decode(coded, validate=True)
        except binascii.Error as error:
            raise ContentError(f"{self._where}: {url}: the picture is not base64 ({error})") from error
