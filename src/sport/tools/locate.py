"""``locate``: where the shapes of a kind are. What it can see is said in :mod:`sport.tools.shapes`."""

from __future__ import annotations

from typing import ClassVar

from sport.tools.base import FileBytes
from sport.tools.pictures import pixels
from sport.tools.shapes import find, wanted
from sport.types import Json, Parameter, ToolSpec


class Locate:
    """Shapes in reading order, each with its box [x1, y1, x2, y2] and its centre [x, y] in whole pixels."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="locate",
        description="Find coloured shapes in a picture.",
        parameters=(
            Parameter(name="image", type="file", description="a picture"),
            Parameter(name="what", type="string", description="a colour, a form or both: 'red circles', 'squares'"),
        ),
        returns="a list of {'label': 'red circle', 'box': [x1, y1, x2, y2], 'center': [x, y]} in reading order",
        version="1",
    )

    def call(self, image: FileBytes, what: str) -> Json:
        """The shapes. Raises ToolError for no picture, or for words it does not know."""
        kind = wanted(what)
        return [
            {
                "label": f"{shape.colour} {shape.form}",
                "box": list(shape.box),
                "center": [(shape.box[0] + shape.box[2]) // 2, (shape.box[1] + shape.box[3]) // 2],
            }
            for shape in find(pixels(image), kind)
        ]
