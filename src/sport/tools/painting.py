"""``image_generator`` and ``image_edit``: pictures by a model that makes them."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import PIL.Image

from sport.errors import ToolError
from sport.tools import guard
from sport.tools.base import FileBytes, ToolOutput
from sport.types import Parameter, ToolSpec

Paint = Callable[[str], Awaitable[bytes]]
"""``await paint(words)``: the bytes of a picture."""
Edit = Callable[[str, FileBytes], Awaitable[bytes]]
"""``await edit(words, picture)``: the bytes of another one."""
ENDINGS = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "WEBP": "webp"}


class ImageGenerator:
    """One picture a call. ``size``, ``ask_base64``, ``device`` and ``steps`` are options of who paints."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="image_generator",
        description="Make a picture of what is described.",
        parameters=(Parameter(name="prompt", type="string", description="what the picture shows"),),
        returns="the picture as a file",
        version="1",
    )

    def __init__(self, paint: Paint) -> None:
        self._paint = paint

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutput:
        """The picture. Raises ToolError where what came is none, ModelError as the model does."""
        return _file(await self._paint(arguments["prompt"]), "image")


class ImageEdit:
    """One picture made from another by words."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="image_edit",
        description="Change a picture as described.",
        parameters=(
            Parameter(name="prompt", type="string", description="what to change"),
            Parameter(name="image_path", type="file", description="a picture"),
        ),
        returns="the new picture as a file",
        version="1",
    )

    def __init__(self, edit: Edit) -> None:
        self._edit = edit

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutput:
        """The new picture. Raises as :meth:`ImageGenerator.call`."""
        guard.check(arguments["image_path"])
        return _file(await self._edit(arguments["prompt"], arguments["image_path"]), "edited")


def _file(data: bytes, stem: str) -> ToolOutput:
    """Only the header is looked at: who uses the picture decodes it."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=tuple(ENDINGS)) as made:
            (width, height), ending = made.size, ENDINGS[str(made.format)]
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise ToolError(f"the model answered with what is no picture ({error})") from error
    name = f"{stem}.{ending}"
    return ToolOutput({"file": name, "width": width, "height": height}, {name: data})
