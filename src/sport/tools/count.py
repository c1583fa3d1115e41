"""``count``: how many shapes of a kind there are. What it can see is said in :mod:`sport.tools.shapes`."""

from __future__ import annotations

from typing import ClassVar

from sport.tools.base import FileBytes
from sport.tools.pictures import pixels
from sport.tools.shapes import find, wanted
from sport.types import Parameter, ToolSpec


class Count:
    """Exactly as many as ``locate`` finds."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="count",
        description="Count coloured shapes in a picture.",
        parameters=(
            Parameter(name="image", type="file", description="a picture"),
            Parameter(name="what", type="string", description="a colour, a form or both: 'red circles', 'squares'"),
        ),
        returns="how many there are, a whole number",
        version="1",
    )

    def call(self, image: FileBytes, what: str) -> int:
        """The number. Raises ToolError for no picture, or for words it does not know."""
        kind = wanted(what)
        return len(find(pixels(image), kind))
