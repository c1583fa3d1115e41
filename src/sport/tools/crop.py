"""``crop``: a part of a picture as a picture of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from sport.errors import ToolError
from sport.tools.base import FileBytes, ToolOutput
from sport.tools.pictures import pixels, png
from sport.types import Parameter, ToolSpec


class Crop:
    """Cuts along whole pixels; what reaches beyond the picture is cut off."""

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="crop",
        description="Cut a box out of a picture.",
        parameters=(
            Parameter(name="image", type="file", description="a picture"),
            Parameter(name="box", type="array", description="[x1, y1, x2, y2] in pixels, as locate gives it"),
        ),
        returns="the file crop.png",
        version="1",
    )

    def call(self, image: FileBytes, box: Sequence[Any]) -> ToolOutput:
        """The part as a file. Raises ToolError for no picture, or a box that holds no pixel of it."""
        edges = _edges(box)
        picture = pixels(image)
        height, width = picture.shape[:2]
        x1, y1 = max(0, edges[0]), max(0, edges[1])
        x2, y2 = min(width, edges[2]), min(height, edges[3])
        if x1 >= x2 or y1 >= y2:
            raise ToolError(f"the box {list(edges)} holds nothing of a picture of {width} x {height} pixels")
        return ToolOutput(files={"crop.png": png(picture[y1:y2, x1:x2])})


def _edges(box: Sequence[Any]) -> tuple[int, int, int, int]:
    """Four whole numbers; a part of a pixel counts as all of it."""
    plain = all(isinstance(value, int | float) and math.isfinite(value) for value in box)
    if len(box) != 4 or not plain:
        raise ToolError(f"a box is [x1, y1, x2, y2] in pixels, not {list(box)!r:.80}")
    return math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])
