"""``ocr``: the text in a picture, by RapidOCR on onnxruntime with the models from its wheel. No download, no GPU."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np

from sport.tools.base import FileBytes
from sport.tools.order import Box, rows
from sport.tools.pictures import Pixels, pixels
from sport.types import Parameter, ToolSpec

SURE = 0.5  # lines that the recogniser believes in less are left out
LARGEST = 1280  # pixels; where lines are is looked for in a picture scaled down to this, they are read in full
LONGEST = 20  # a strip longer than this many times its width is widened: RapidOCR would scale it down to nothing
LEADER = re.compile(r"(?:[ ]*[.\u00b7\u2026]){2,}[ ]*|[ ]+\.[ ]+")
REMNANT = re.compile(r"[ ]+\.(?=\d)")

Line = tuple[Box, str]


class Ocr:
    """One line of text per visual row: what stands on one height is joined by a space, left to right.

    Not covered: turned or vertical text, handwriting, columns of prose side by side (their rows are joined). Spaces
    within a line may be lost ("3 g" is read as "3g").
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="ocr",
        description="Read the text in a picture.",
        parameters=(Parameter(name="image", type="file", description="a picture"),),
        returns="the text, one line per row of the picture; empty when there is none",
        version="1",
    )

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        self._engine: Any = RapidOCR(
            params={
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.limit_type": "max",  # its own choice enlarges the short side to 736: 25 s for a narrow strip
                "Det.limit_side_len": LARGEST,
                "Global.use_cls": False,
                "Global.log_level": "error",
            }
        )

    def call(self, image: FileBytes) -> str:
        """The text. Raises ToolError when ``image`` is no picture."""
        found = rows(self._lines(pixels(image)), _box)
        return without_leaders("\n".join(" ".join(text for _, text in row) for row in found))

    def lines(self, image: FileBytes) -> list[Line]:
        """Pieces of text with their boxes (x1, y1, x2, y2), as they are found. Raises ToolError as :meth:`call`."""
        return self._lines(pixels(image))

    def _lines(self, picture: Pixels) -> list[Line]:
        found = self._engine(np.ascontiguousarray(_widened(picture)[:, :, ::-1]))  # it expects BGR
        if found.txts is None:
            return []
        return [
            ((*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()), text.strip())
            for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
            if score >= SURE and text.strip()
        ]


def without_leaders(text: str) -> str:
    r"""Dots that lead the eye from a name to its value become one space.

    Of a leader the engine often sees only the last dot, and "Fat .30 g" would be another number: where a page has
    leaders at all, a dot after a space and before a digit is taken for the rest of one.

    >>> without_leaders("Fat ......30 g\nSalt .2 g")
    'Fat 30 g\nSalt 2 g'
    """
    plain = LEADER.sub(" ", text)
    return text if plain == text else REMNANT.sub(" ", plain)


def _box(line: Line) -> Box:
    return line[0]


def _widened(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    least = -(-max(height, width) // LONGEST)
    below, beside = max(0, least - height), max(0, least - width)
    return np.pad(picture, ((0, below), (0, beside), (0, 0)), constant_values=255)
